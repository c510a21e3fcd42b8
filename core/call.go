package core

import (
	"context"
	"errors"
)

// calls is what a task keeps of the calls of its Func. There is one, unless a middleware retries, or refuses.
type calls struct {
	running  int32
	closed   bool // the chain has returned: there will be no more
	returned bool // one returned before the chain did: the extra's fnErr and cause are of the last
}

// leftBehind are the calls that still ran when the chain returned: a middleware did not wait for them.
type leftBehind struct {
	ended chan struct{} // closed by the last of them
	err   error         // what they returned; to be read after that
}

// call is the innermost Handler of every chain: it calls the task's Func.
func call(ctx context.Context, t *Task) error {
	if err := t.enter(ctx); err != nil {
		return err
	}
	err := ErrGoexit // stands if fn does not return
	defer func() { t.leave(err) }()
	err = callFunc(ctx, t)
	return err
}

var callFunc = guard(func(ctx context.Context, t *Task) error { return t.fn(ctx) })

// callAlone is call where there is no middleware, and so nobody who could call it twice, or on another goroutine, or look at the
// outcome before the manager does.
func callAlone(ctx context.Context, t *Task) error {
	if t.skips {
		return t.skipCause()
	}
	return t.fn(ctx)
}

// enter takes down the innermost context, and returns what the chain gets instead of a call of
// the Func, if anything.
func (t *Task) enter(ctx context.Context) (instead error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls.closed {
		return errEnded
	}
	t.innermost = ctx
	if !t.skips {
		t.calls.running++
	}
	return t.more().skip
}

// leave takes down the state at the moment the Func returned: the outcome is decided by it.
func (t *Task) leave(err error) {
	cause := t.context().cause()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.calls
	c.running--
	if !c.closed {
		c.returned = true
		if err != nil || cause != nil || t.extra != nil {
			t.extras().fnErr, t.extras().cause = err, cause
		}
		return
	}
	left := t.extras().left
	left.err = errors.Join(left.err, err)
	if c.running == 0 {
		close(left.ended)
	}
}

// closeCalls allows no further call, now that the chain has returned, and returns those that were left behind.
func (t *Task) closeCalls() *leftBehind {
	if len(t.shard.middleware) == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls.closed = true
	if t.calls.running == 0 {
		return nil
	}
	left := &leftBehind{ended: make(chan struct{})}
	t.extras().left = left
	return left
}
