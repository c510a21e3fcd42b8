package core

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// runContext is the context of a run. It is the Task itself, seen as a context, and costs nothing until
// somebody looks: only when its Done channel is asked for, or when it is cancelled, is a
// standard context made, and from then on that one answers. So whatever the standard
// library does for its own contexts (causes, AfterFunc, children without a goroutine
// each) it does for this one.
//
// A timeout needs no timer before that either: nobody is waiting for it, and whoever asks
// for Err compares the clock.
type runContext Task

// contextState is what a Task is as a context. All but the last is set before the run starts and never changes after, as
// are the task's waited and what is early in its extra.
type contextState struct {
	detached detached
	values   context.Context // what the last Spawn returned: detached, or derived from it
	std      atomic.Pointer[stdContext]
}

// detach sets what the values of the run's context are.
func (t *Task) detach(spawner context.Context) {
	t.detached.spawner, t.values = spawner, &t.detached
	if plain {
		t.values = context.WithoutCancel(spawner)
	}
}

func (t *Task) context() *runContext { return (*runContext)(t) }

func (c *runContext) task() *Task { return (*Task)(c) }

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

// detached is what context.WithoutCancel makes, but that it lies within the Task and that to ask it for a value allocates nothing.
type detached struct{ spawner context.Context }

func (*detached) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (*detached) Done() <-chan struct{}                   { return nil }
func (*detached) Err() error                              { return nil }
func (*detached) String() string                          { return "core.detached" }

func (d *detached) Value(key any) any {
	if key == cancelCtxKey { // or context.Cause would find that of the spawner
		return nil
	}
	return d.spawner.Value(key)
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
	return std
}

func (c *runContext) newStandard() *stdContext {
	ctx, cancel := context.WithCancelCause(c.values)
	// What came first comes before the deadline, which may have passed since.
	if early := c.task().earlyCause(); early != nil {
		cancel(early)
	}
	std := &stdContext{Context: ctx, cancelCause: cancel}
	if deadline, ok := c.ownDeadline(); ok {
		std.Context, std.stopTimer = context.WithDeadlineCause(ctx, deadline, ErrTimeout)
	}
	return std
}

// end cancels the context once the run is over, as everybody does who made one.
func (c *runContext) end() {
	if c.std.Load() == nil && c.expired() { // the timeout came first, though nobody has looked
		c.standard()
	}
	if !c.std.CompareAndSwap(nil, over) {
		c.std.Load().cancel(nil)
	}
}

// over answers for every context that nobody asked for anything before its end.
var over = func() *stdContext {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(nil)
	return &stdContext{Context: ctx, cancelCause: cancel}
}()

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
	return c.options.timeout > 0 && time.Since(c.created) >= c.limit()
}

// limit returns how long after its creation the task's timeout ends. It has one, and has started.
func (c *runContext) limit() time.Duration { return plus(c.waited, c.options.timeout) }

// ownDeadline returns the end of the task's timeout, if it has one.
func (c *runContext) ownDeadline() (deadline time.Time, ok bool) {
	if c.options.timeout <= 0 {
		return time.Time{}, false
	}
	return c.created.Add(c.limit()), true
}

// Deadline implements context.Context.
func (c *runContext) Deadline() (deadline time.Time, ok bool) {
	if c.linked { // to a context that may have an earlier one
		return c.standard().Deadline()
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
	if c.expired() {
		return c.standard().Err()
	}
	return nil
}

// Value implements context.Context.
func (c *runContext) Value(key any) any {
	switch key {
	case taskKey{}:
		return c.task()
	case cancelCtxKey:
		return c.standard().Value(key)
	case labelsKey:
		if labels, known := c.task().labels(); known {
			return labels
		}
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
func (c *runContext) String() string { return fmt.Sprintf("core.Task(%v)", c.task()) }

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
