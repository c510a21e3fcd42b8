package core

import "context"

// A spawner is the context given to Go, of an attached task.
type spawner struct {
	ctx    context.Context
	detach func() bool // ends the wait for the end of ctx
}

// attachTo cancels the task when ctx is done.
func (r *run) attachTo(ctx context.Context) {
	detach := context.AfterFunc(ctx, func() { r.task.cancel(context.Cause(ctx), byContext) })
	r.spawner = &spawner{ctx, detach}
}

// goneCause returns why the context ended, or nil. Of a nil spawner it returns nil.
func (s *spawner) goneCause() (cause error) {
	if s == nil {
		return nil
	}
	defer contain() // user code
	return context.Cause(s.ctx)
}

// leave ends the wait for the end of the context. A nil spawner does nothing.
func (s *spawner) leave() {
	if s != nil {
		defer contain() // user code
		s.detach()
	}
}
