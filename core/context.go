package core

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// runContext is the context of a run. It lies within its Task and costs nothing until
// somebody looks: only when its Done channel is asked for, or when it is cancelled, is a
// standard context made, and from then on that one answers. So whatever the standard
// library does for its own contexts (causes, AfterFunc, children without a goroutine
// each) it does for this one.
//
// A timeout needs no timer before that either: nobody is waiting for it, and whoever asks
// for Err compares the clock.
//
// values, linked and limit, as well as the task's early, are set before the run starts and never change after.
type runContext struct {
	task   *Task
	values context.Context // what the last Spawn returned
	limit  time.Duration   // from the task's creation to its deadline; 0: it has no timeout
	linked bool            // values can be cancelled: a Spawn made them so
	ended  atomic.Bool     // the run is over
	std    atomic.Pointer[stdContext]
}

// stdContext is the standard context that answers for a runContext.
type stdContext struct {
	context.Context
	cancelCause context.CancelCauseFunc
	stopTimer   context.CancelFunc // releases the deadline's context; nil: the task has no timeout
}

func (c *stdContext) cancel(cause error) {
	c.cancelCause(cause)
	if c.stopTimer != nil {
		c.stopTimer()
	}
}

// detach returns ctx without its cancellation and deadline.
func detach(ctx context.Context) context.Context {
	if ctx == context.Background() {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// standard returns the standard context, made now if it is the first time. It calls no
// code of the user's under a lock: of two that are made at once, one is thrown away.
func (c *runContext) standard() *stdContext {
	if std := c.std.Load(); std != nil {
		return std
	}
	std := c.newStandard()
	if !c.std.CompareAndSwap(nil, std) {
		std.cancel(nil)
		return c.std.Load()
	}
	if c.ended.Load() {
		std.cancel(nil)
	}
	return std
}

func (c *runContext) newStandard() *stdContext {
	ctx, cancel := context.WithCancelCause(c.values)
	// What came first comes before the deadline, which may have passed since.
	if c.task.early != nil {
		cancel(c.task.early)
	} else if c.ended.Load() {
		cancel(nil)
	}
	std := &stdContext{Context: ctx, cancelCause: cancel}
	if deadline, ok := c.ownDeadline(); ok {
		std.Context, std.stopTimer = context.WithDeadlineCause(ctx, deadline, ErrTimeout)
	}
	return std
}

// end cancels the context once the run is over, as everybody does who made one.
func (c *runContext) end() {
	c.ended.Store(true)
	if std := c.std.Load(); std != nil {
		std.cancel(nil)
	}
}

// cause returns which of ErrTimeout, ErrCancelled and ErrShutdown cancelled the context, or nil.
func (c *runContext) cause() error {
	if std := c.std.Load(); std != nil {
		switch cause := context.Cause(std); cause {
		case ErrTimeout, ErrCancelled, ErrShutdown:
			return cause
		default: // not cancelled, or by a context that a Spawn returned
			return nil
		}
	}
	if c.expired() {
		return ErrTimeout
	}
	return nil
}

func (c *runContext) expired() bool {
	return c.limit > 0 && time.Since(c.task.created) >= c.limit
}

// ownDeadline returns the end of the task's timeout, if it has one.
func (c *runContext) ownDeadline() (deadline time.Time, ok bool) {
	if c.limit <= 0 {
		return time.Time{}, false
	}
	return c.task.created.Add(c.limit), true
}

// Deadline implements context.Context.
func (c *runContext) Deadline() (deadline time.Time, ok bool) {
	if std := c.std.Load(); std != nil {
		return std.Deadline()
	}
	return c.ownDeadline()
}

// Done implements context.Context.
func (c *runContext) Done() <-chan struct{} { return c.standard().Done() }

// Err implements context.Context.
func (c *runContext) Err() error {
	if std := c.std.Load(); std != nil {
		return std.Err()
	}
	if c.ended.Load() || c.expired() {
		return c.standard().Err()
	}
	return nil
}

// Value implements context.Context.
func (c *runContext) Value(key any) any {
	if key == (taskKey{}) {
		return c.task
	}
	if key == cancelCtxKey {
		return c.standard().Value(key)
	}
	if std := c.std.Load(); std != nil {
		return std.Value(key)
	}
	return c.values.Value(key)
}

// cancelCtxKey is the key under which package context looks for its own kind of context. Up to Go 1.25,
// context.Cause does so before it asks for Err: the answer has to be there by then.
var cancelCtxKey = func() (key any) {
	_ = context.Cause(keyProbe{Context: context.Background(), key: &key})
	return key
}()

// keyProbe is a context that takes down what key it is asked for.
type keyProbe struct {
	context.Context
	key *any
}

func (p keyProbe) Err() error { return context.Canceled }

func (p keyProbe) Value(key any) any {
	*p.key = key
	return nil
}

// String keeps package fmt from reading the fields while they change.
func (c *runContext) String() string { return fmt.Sprintf("core.Task(%v)", c.task) }

type (
	taskKey    struct{}
	managerKey struct{}
)

// TaskFromContext returns the task whose context ctx is, or is derived from.
// Inside a task it tells which; elsewhere ok is false.
func TaskFromContext(ctx context.Context) (t *Task, ok bool) {
	t, ok = ctx.Value(taskKey{}).(*Task)
	return t, ok
}

// NewContext returns a copy of ctx that carries m, for [FromContext] to find. A server puts
// its manager into the context of each request with it, where constructors would be in the way.
func NewContext(ctx context.Context, m *Manager) context.Context {
	return context.WithValue(ctx, managerKey{}, m)
}

// FromContext returns the manager that [NewContext] put into ctx, and whether there was one.
func FromContext(ctx context.Context) (m *Manager, ok bool) {
	m, ok = ctx.Value(managerKey{}).(*Manager)
	return m, ok && m != nil
}
