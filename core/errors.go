package core

import (
	"context"
	"errors"
	"fmt"
)

// Errors of refused tasks. Test [Task.Err] for them with [errors.Is].
var (
	// ErrRejected matches the error of every refused task. A middleware refuses a task by returning
	// an error that matches it without calling next.
	ErrRejected = errors.New("afterspan: task refused")
	// ErrClosed is the error of a task that was refused because Shutdown or Close had begun.
	ErrClosed = fmt.Errorf("%w: manager closed", ErrRejected)
	// ErrFull is the error of a task that was refused because the limit, or a bound of its [Keyed],
	// was reached. If Go may wait for room but ctx was done, it also matches ctx's error.
	ErrFull = fmt.Errorf("%w: no room", ErrRejected)
)

// Causes of a task's context, as [context.Cause] returns them. Each also matches what the context's
// Err method returns then.
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

// ErrHandedOver is matched by the error that a middleware returns for a task whose work it gave to
// something that outlives the process, such as a job queue. If a shutdown had cancelled the task, it does not
// count as lost.
var ErrHandedOver = errors.New("afterspan: task handed over")

// ErrGoexit is the error of a task that [runtime.Goexit] ended, as t.FailNow of package testing
// does. The deferred calls of the middlewares have run.
var ErrGoexit = errors.New("afterspan: task called runtime.Goexit")

// errGroupCancelled is the cause after Group.Cancel.
var errGroupCancelled = fmt.Errorf("afterspan: group cancelled: %w", ErrCancelled)
