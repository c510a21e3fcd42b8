package core

import (
	"context"
	"errors"
	"fmt"
)

// What [Task.Err] of a refused task is. Test with [errors.Is].
var (
	// ErrRejected is matched by the error of every refused task. A middleware refuses a task by
	// returning an error that matches it without calling next.
	ErrRejected = errors.New("afterspan: task refused")
	// ErrClosed is the error of a task that was refused because Shutdown or Close had begun.
	ErrClosed = fmt.Errorf("%w: manager closed", ErrRejected)
	// ErrFull is the error of a task that was refused because the limit, or a bound of its [Keyed],
	// was reached. If Go had waited for room, the error matches that of its context as well.
	ErrFull = fmt.Errorf("%w: no room", ErrRejected)
)

// What [context.Cause] returns inside a task whose context was cancelled. Each also matches the
// error that the context's Err method then returns.
var (
	// ErrTimeout is the cause after the task's own timeout. It matches [context.DeadlineExceeded].
	ErrTimeout = fmt.Errorf("afterspan: task timed out: %w", context.DeadlineExceeded)
	// ErrCancelled is the cause after [Task.Cancel] or [Manager.CancelAll]. It matches
	// [context.Canceled].
	ErrCancelled = fmt.Errorf("afterspan: task cancelled: %w", context.Canceled)
	// ErrShutdown is the cause after [Manager.Shutdown] or [Manager.Close] cancelled the task. It
	// matches [context.Canceled].
	ErrShutdown = fmt.Errorf("afterspan: manager shut down: %w", context.Canceled)
)

// ErrGoexit is what [Task.Err] is after [runtime.Goexit] ended the task, as t.FailNow of package
// testing does. The deferred calls of the middlewares have run.
var ErrGoexit = errors.New("afterspan: task called runtime.Goexit")

// errGroupCancelled is the cause after Group.Cancel.
var errGroupCancelled = fmt.Errorf("afterspan: group cancelled: %w", ErrCancelled)
