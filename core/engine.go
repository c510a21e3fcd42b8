package core

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// A Chain runs middlewares around tasks that an engine other than [Manager] schedules: a job queue,
// for example. The engine decides when and where a task runs. The chain gives it the hooks.
//
// To store a task, the engine calls Spawn, stores the task with what a middleware put into the
// returned context (its trace, for example), and calls Enqueued, or Refused if it could not store
// it. To run it, in the same process or another one, the engine makes a new Task for each attempt
// with [NewAttempt] and calls Run.
//
// Its methods are safe for concurrent use. A panic in a hook other than Spawn is recovered and
// logged to [slog.Default].
type Chain struct {
	config
	handler Handler
}

// NewChain returns a chain of mw; the first is the outermost, as for [WithMiddleware].
func NewChain(mw ...Middleware) *Chain {
	c := &Chain{config: newConfig([]Option{WithMiddleware(mw...)})}
	c.handler = compose(c.middleware)
	return c
}

// Spawn gives t the attributes of [ContextWithAttrs] in ctx, which come before its own, and calls
// the Spawn hooks. It returns their context, which has the values of ctx but not its cancellation.
// If a hook panics, err is a [*PanicError], and the engine calls Refused with it.
//
// Call Spawn at most once for a task, and before any other method of Chain.
func (c *Chain) Spawn(ctx context.Context, t *Task) (spawned context.Context, err error) {
	t.options.attrs = lastOfEachKey(slices.Concat(attrsFrom(ctx), t.options.attrs))
	r := &run{runContext: runContext{values: context.WithoutCancel(ctx)}, task: t}
	c.callSpawns(r)
	return r.values, r.skip
}

// Enqueued gives t the ID under which the engine has stored it, 0 if it has none, and calls the
// Enqueued hooks. The attempts are tasks of their own, with the same ID. ctx is what Spawn
// returned. Do not call it for a task that Run gets: that one ends here.
func (c *Chain) Enqueued(ctx context.Context, t *Task, id uint64) {
	t.id = id
	c.callHooks(ctx, "Enqueued", c.enqueueds, t)
}

// Refused ends t as [Rejected] and calls the Refused hooks: the engine could not store it, because
// of err. t's error matches err and [ErrRejected]. ctx is what Spawn returned or, if Spawn was not
// called, the context of the caller. Refused panics if t was refused or given to Run before.
func (c *Chain) Refused(ctx context.Context, t *Task, err error) {
	switch {
	case t.run != nil || t.isDone:
		panic("afterspan: Chain.Refused: the task was run, or refused, before")
	case err == nil:
		err = ErrRejected
	case !is(err, ErrRejected):
		err = fmt.Errorf("%w: %w", ErrRejected, err)
	}
	t.settle(Rejected, err, nil)
	t.close()
	c.callHooks(ctx, "Refused", c.refuseds, t)
}

// Run runs the chain around fn for t, made by NewTask or [NewAttempt], on the caller's goroutine.
// Then it decides the outcome, calls the Ended hooks, closes t.Done and returns t's error. A panic
// becomes an error, a [*PanicError]; [runtime.Goexit] ends t and the caller's goroutine.
//
// The task's context has the values of ctx and ends with it. A timeout of t and [Task.Cancel] end
// it as they do in a Manager, and the outcome is judged in the same way. An engine that has
// timeouts and cancels of its own lets fn return an error that matches [ErrTimeout], [ErrCancelled]
// or [ErrShutdown], or ends ctx with one of them as its cause.
//
// Run panics if ctx or fn is nil, and if t belongs to a Manager, or was refused or given to Run
// before.
func (c *Chain) Run(ctx context.Context, t *Task, fn Func) error {
	t.adopt(ctx, fn)
	end := ending{err: ErrGoexit, outcome: Failed} // kept if the chain does not return
	defer c.endRun(t, &end)
	r := t.start()
	end.err = c.handler(r, t)
	end.returned = true
	return end.err
}

// adopt gives t a run in ctx.
func (t *Task) adopt(ctx context.Context, fn Func) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case ctx == nil:
		panic("afterspan: Chain.Run: ctx is nil")
	case fn == nil:
		panic("afterspan: Chain.Run: fn is nil")
	case t.manager != nil:
		panic("afterspan: Chain.Run: the task belongs to a Manager")
	case t.run != nil || t.isDone:
		panic("afterspan: Chain.Run: the task was run, or refused, before")
	}
	t.run = &run{runContext: runContext{values: ctx, cancellable: true}, task: t, fn: fn}
}

// endRun decides the outcome of t, whose chain is over, and ends it. It waits for calls of fn that
// a middleware left behind.
func (c *Chain) endRun(t *Task, end *ending) {
	defer t.close() // deferred, because a hook may call runtime.Goexit
	defer t.run.end()
	seen, ctx := t.closeCalls()
	if end.returned {
		end.outcome, end.cause = t.judge(seen, end.err)
	}
	if left := seen.calls.outlived; left != nil {
		t.run.end()
		<-left.ended
	}
	t.settle(end.outcome, end.err, end.cause)
	c.callHooks(ctx, "Ended", c.endeds, t)
}

// An Attempt is what an engine knows of one attempt at a task.
type Attempt struct {
	Name     string    // the kind of work; "background_task" if it is empty
	ID       uint64    // the engine's number for the task, the same for all its attempts
	Number   int       // of the attempt, from 1; smaller numbers count as 1
	QueuedAt time.Time // the earliest time at which it could have started; zero: now
}

// NewAttempt returns a task for [Chain.Run]. Its CreatedAt is a.QueuedAt, so that the time it
// waited counts as time in the queue. [WithKey], [Attached] and [UntilShutdown] have no effect.
func NewAttempt(a Attempt, opts ...TaskOption) *Task {
	t := NewTask(a.Name, opts...)
	t.id = a.ID
	t.options.attempt = int32(min(max(a.Number, 1), math.MaxInt32))
	if !a.QueuedAt.IsZero() {
		t.created = a.QueuedAt
	}
	return t
}

// Attempt returns the number of the attempt that was given to [NewAttempt]. It is 1 for every
// other task. A retry in a middleware does not change it: the task is the same.
func (t *Task) Attempt() int { return max(int(t.options.attempt), 1) }
