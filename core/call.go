package core

import (
	"context"
	"errors"
)

// errEnded is returned to a middleware that calls next after the chain has returned.
var errEnded = errors.New("afterspan: next was called after the chain had returned")

// callFunc is the innermost Handler of every chain: it calls the task's Func.
func callFunc(ctx context.Context, t *Task) (err error) {
	r, err := t.enter(ctx)
	if err != nil {
		return err
	}
	left := ErrGoexit // stands if the Func calls runtime.Goexit
	returned := false
	defer func() {
		if v := recover(); !returned {
			err = recovered(v, t)
			if v != nil {
				left = err
			}
		}
		r.leave(left)
	}()
	err = r.fn(ctx)
	left, returned = err, true
	return err
}

// enter records a call of the Func with ctx. If the Func must not be called, it returns the error
// to return instead.
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

// reach notes how far the chain has come: log lines about t are logged with the innermost context.
func (t *Task) reach(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.run; r != nil && !r.calls.closed {
		r.innermost = ctx
	}
}

// leave records the state when the Func returned: the outcome is judged by it.
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
	c.outlived.err = errors.Join(c.outlived.err, err)
	if c.running == 0 {
		close(c.outlived.ended)
	}
}

// closeCalls forbids further calls, because the chain has returned. It returns the evidence to
// judge by, and the context for the log.
func (t *Task) closeCalls() (evidence, context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.run.calls
	c.closed = true
	if c.running > 0 {
		c.outlived = &outlived{ended: make(chan struct{})}
	}
	return t.evidence(), t.innermost()
}

// awaitOutlived cancels the task's context, waits until the calls that outlived the chain have
// returned, and logs their errors.
func (m *Manager) awaitOutlived(t *Task, calls *outlived) {
	if calls == nil {
		return
	}
	m.mu.Lock()
	m.cancelTask(t, context.Canceled, byManager)
	m.mu.Unlock()
	t.run.end()
	<-calls.ended
	m.logOutlived(t, calls.err)
}
