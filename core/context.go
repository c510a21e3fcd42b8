package core

import (
	"context"
	"sync/atomic"
	"time"
)

// A runContext is the context of a run. Most tasks never look at theirs, so it makes a standard
// context only when one is needed: for Done, for an error, or for a cancel. From then on the
// standard context answers, so causes, AfterFunc and derived contexts work as usual.
//
// Before that a timeout needs no timer: Err compares the deadline with the clock.
type runContext struct {
	values      context.Context // asked for values only, until the standard context is made
	cancellable bool            // the end of values ends the run; if false, it is ignored
	deadline    time.Time       // zero: none
	std         atomic.Pointer[stdContext]
}

// stdContext is the standard context that answers for a runContext.
type stdContext struct {
	context.Context
	cancelCause context.CancelCauseFunc
	stopTimer   context.CancelFunc // nil: no deadline
}

func (c *stdContext) cancel(cause error) {
	c.cancelCause(cause)
	if c.stopTimer != nil {
		c.stopTimer()
	}
}

// over marks a runContext that ended before a standard context was made. Its methods are never
// called.
var over = new(stdContext)

// made returns the standard context, or nil if none was made.
func (c *runContext) made() *stdContext {
	if std := c.std.Load(); std != over {
		return std
	}
	return nil
}

// standard returns the standard context, and makes it if there is none. It holds no lock, because
// it may call user code: of two that are made at once, one is thrown away.
func (c *runContext) standard() *stdContext {
	for {
		before := c.std.Load()
		if before != nil && before != over {
			return before
		}
		std := c.newStandard(before != over)
		if before == over {
			std.cancelCause(nil)
		}
		if c.std.CompareAndSwap(before, std) {
			return std
		}
		std.cancel(nil)
	}
}

// newStandard returns a new standard context. It has no deadline if the run was cancelled or ended
// before: the deadline may have passed since.
func (c *runContext) newStandard(hasDeadline bool) *stdContext {
	values := c.values
	if !c.cancellable {
		values = context.WithoutCancel(values)
	}
	std := new(stdContext)
	if hasDeadline && !c.deadline.IsZero() {
		values, std.stopTimer = context.WithDeadlineCause(values, c.deadline, ErrTimeout)
	}
	std.Context, std.cancelCause = context.WithCancelCause(values)
	return std
}

// endEarly cancels the context because the task was cancelled before its start.
func (c *runContext) endEarly(cause error) {
	std := c.newStandard(false)
	std.cancelCause(cause)
	if !c.std.CompareAndSwap(nil, std) { // Cancel or a log handler was faster
		c.standard().cancel(cause)
	}
}

// end cancels the context, because the run is over.
func (c *runContext) end() {
	if c.made() == nil && c.expired() { // the timeout came first
		c.standard()
	}
	if !c.std.CompareAndSwap(nil, over) {
		c.standard().cancel(nil)
	}
}

// expired reports whether the deadline has passed.
func (c *runContext) expired() bool {
	return !c.deadline.IsZero() && !time.Now().Before(c.deadline)
}

// Deadline implements context.Context.
func (c *runContext) Deadline() (deadline time.Time, ok bool) {
	if std := c.made(); std != nil && c.cancellable {
		return std.Deadline()
	}
	return c.deadline, !c.deadline.IsZero()
}

// Done implements context.Context.
func (c *runContext) Done() <-chan struct{} { return c.standard().Done() }

// Err implements context.Context.
func (c *runContext) Err() error {
	if c.std.Load() == nil && !c.expired() {
		return nil
	}
	return c.standard().Err()
}

// Value implements context.Context for everything but the key of the run.
func (c *runContext) Value(key any) any {
	if std := c.made(); std != nil {
		return std.Value(key)
	}
	return c.values.Value(key)
}
