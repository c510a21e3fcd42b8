package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What [Task.Err] of a refused task is. Test with [errors.Is].
var (
	// ErrClosed is the error of a task that was refused since Shutdown or Close had begun.
	ErrClosed = errors.New("core: manager closed: task refused")
	// ErrFull is the error of a task that was refused since the limit, or a bound of its [Serial], was reached. Where Go
	// had waited for room, the error matches that of the context as well.
	ErrFull = errors.New("core: no room: task refused")
)

// What [context.Cause] returns inside a task whose context was cancelled. Each also matches
// the error that the context's Err method then returns.
var (
	// ErrTimeout is the cause after the task's own timeout.
	// It matches [context.DeadlineExceeded].
	ErrTimeout = fmt.Errorf("core: task timed out: %w", context.DeadlineExceeded)
	// ErrCancelled is the cause after [Task.Cancel] or [Manager.CancelAll].
	// It matches [context.Canceled].
	ErrCancelled = fmt.Errorf("core: task cancelled: %w", context.Canceled)
	// ErrShutdown is the cause after [Manager.Shutdown] or [Manager.Close] cancelled the task.
	// It matches [context.Canceled].
	ErrShutdown = fmt.Errorf("core: manager shut down: %w", context.Canceled)
)

// ErrGoexit is what [Task.Err] is after [runtime.Goexit] ended the task, as t.FailNow of
// package testing does. The deferred calls of the middlewares have run.
var ErrGoexit = errors.New("core: task called runtime.Goexit")

// errEnded is what a middleware gets that calls next after the chain has returned, from a
// goroutine that it left behind.
var errEnded = errors.New("core: next was called after the chain had returned")

// A PanicError is the error of a task that panicked.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // the goroutine's stack at the panic, as [runtime/debug.Stack] formats it
}

// Error returns the panic's value in words, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the panic's value if that is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrorType returns "panic". OpenTelemetry's semantic conventions call it error.type:
// https://opentelemetry.io/docs/specs/semconv/attributes-registry/error/
func (e *PanicError) ErrorType() string { return "panic" }

// panicIn returns the panic in err's chain. The methods of err are the user's: As and Unwrap may panic.
func panicIn(err error) (panicked *PanicError, ok bool) {
	defer contain()
	if isPlain(err) { // errors.As asks reflection first, and for that alone the stack of most goroutines has to grow
		return nil, false
	}
	ok = errors.As(err, &panicked) && panicked != nil
	return panicked, ok
}

// isPlain reports whether there cannot be a panic in err, which is none itself: a PanicError has an Unwrap.
func isPlain(err error) bool {
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ As(any) bool }:
		return false
	default:
		return true
	}
}

// A ShutdownError is returned by [Manager.Shutdown] and [Manager.Close] when tasks were
// still there at the end of the time they had.
type ShutdownError struct {
	Stats ShutdownStats
	Tasks []TaskInfo // what did not stop, oldest first

	err error // of the context that ended the wait
}

// Error names up to five of the tasks that did not stop.
func (e *ShutdownError) Error() string {
	const most = 5
	var b strings.Builder
	fmt.Fprintf(&b, "core: %d task(s) did not stop within %v", e.Stats.RemainingTasks, e.Stats.Duration.Round(time.Millisecond))
	for i, t := range e.Tasks {
		if i == most {
			fmt.Fprintf(&b, ", and %d more", len(e.Tasks)-most)
			break
		}
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s (id %d, %s, %v old)", sep, t.Name, t.ID, t.State, t.Age.Round(time.Millisecond))
	}
	return b.String()
}

// Unwrap returns the error of the context that ended the wait: [context.Canceled] or
// [context.DeadlineExceeded].
func (e *ShutdownError) Unwrap() error {
	if e.err == nil {
		return context.DeadlineExceeded
	}
	return e.err
}
