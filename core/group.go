package core

import (
	"context"
	"sync"
)

// A Group starts tasks that belong together, such as those of one request or one fan-out, in the
// manager that they share with all others. Make one with [Manager.Group]. Its methods are safe for
// concurrent use; its tasks may start more of them.
type Group struct {
	manager *Manager
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu         sync.Mutex // guards the fields below
	unfinished int
	err        error         // the first
	idle       chan struct{} // made by Wait, closed when nothing is unfinished
}

// Group returns a group whose tasks have ctx's values. They are cancelled, queued ones as well,
// when ctx is done, after the first error of one of them, or by [Group.Cancel]; what they return
// after that is [Cancelled]. Call [Group.Wait] in the end, which releases the group's context.
func (m *Manager) Group(ctx context.Context) *Group {
	if ctx == nil {
		panic("afterspan: Group: ctx is nil")
	}
	g := &Group{manager: m}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Go starts fn as a task of the group, as [Manager.Go] does. A refusal is an error of the group.
func (g *Group) Go(name string, fn Func, opts ...TaskOption) *Task {
	g.mu.Lock()
	g.unfinished++
	g.mu.Unlock()
	return g.manager.Go(g.ctx, name, fn, append([]TaskOption{g.join}, opts...)...)
}

func (g *Group) join(o *taskOptions) { o.group, o.attached = g, true }

// Wait waits until all tasks of the group have ended, and returns the first error of one of them.
// After that the group's context is done: a task that is started later is cancelled from its start.
// Do not call Wait from inside a task of the group: it would wait for that task.
func (g *Group) Wait() error {
	for {
		idle, err := g.end()
		if idle == nil {
			return err
		}
		<-idle
	}
}

// end ends the group if nothing is unfinished, and returns its error. Else it returns a channel that is
// closed when nothing is.
func (g *Group) end() (idle <-chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.unfinished == 0 {
		g.cancel(g.err)
		return nil, g.err
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	return g.idle, nil
}

// Cancel cancels the tasks of the group. The cause matches [ErrCancelled].
func (g *Group) Cancel() { g.cancel(errGroupCancelled) }

// ended is called once for each task of the group, when it is done.
func (g *Group) ended(t *Task) {
	err := t.Err()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil && err != nil {
		g.err = err
		g.cancel(err) // a refusal; other errors have done so
	}
	if g.unfinished--; g.unfinished == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// leaveGroup tells the group of t that t is done.
func (t *Task) leaveGroup() {
	if g := t.options.group; g != nil {
		g.ended(t)
	}
}
