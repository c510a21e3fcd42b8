package core

import (
	"context"
	"errors"
)

// errEnded is what a middleware gets that calls next after the chain has returned, on a goroutine
// that it left behind.
var errEnded = errors.New("afterspan: next was called after the chain had returned")

// call is the innermost Handler of every chain: it calls the task's Func.
func call(ctx context.Context, t *Task) (err error) {
	r, err := t.enter(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned {
			err = recovered(recover(), t)
		}
		r.leave(err)
	}()
	err = r.fn(ctx)
	returned = true
	return err
}

// enter notes a call with the innermost context. It returns the error that the chain gets in place
// of a call, if any.
func (t *Task) enter(ctx context.Context) (*run, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.run
	if r == nil || r.calls.closed {
		return nil, errEnded
	}
	r.innermost = ctx
	if r.skip == nil {
		r.calls.called = true
		r.calls.running++
	}
	return r, r.skip
}

// leave notes the state at the moment the Func returned: the outcome is decided by it.
func (r *run) leave(err error) {
	cause := r.cancelledBy()
	r.task.mu.Lock()
	defer r.task.mu.Unlock()
	c := &r.calls
	c.running--
	if !c.closed {
		c.returned, c.err, c.cause = true, err, cause
		return
	}
	c.abandoned.err = errors.Join(c.abandoned.err, err)
	if c.running == 0 {
		close(c.abandoned.ended)
	}
}

// closeCalls allows no further call, now that the chain has returned. Calls that are still running
// are abandoned. It returns the state to judge by, and the context to log with.
func (t *Task) closeCalls() (evidence, context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.run.calls
	c.closed = true
	if c.running > 0 {
		c.abandoned = &abandoned{ended: make(chan struct{})}
	}
	return t.evidence(), t.innermost()
}

// awaitAbandoned cancels the context of calls that a middleware did not wait for, and waits for
// them.
func (m *Manager) awaitAbandoned(t *Task, calls *abandoned) {
	if calls == nil {
		return
	}
	m.mu.Lock()
	m.cancelTask(t, context.Canceled)
	m.mu.Unlock()
	t.run.end()
	<-calls.ended
	m.logAbandoned(t, calls.err)
}
