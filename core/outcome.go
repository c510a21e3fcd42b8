package core

import (
	"context"
	"errors"
)

// An Outcome is how a task ended. Each accepted task ends in exactly one.
type Outcome uint8

// The outcomes, and Pending before there is one.
const (
	Pending   Outcome = iota // not ended yet
	Completed                // no error, however late
	Failed                   // an error of its own, a panic, or runtime.Goexit
	Cancelled                // an error after Cancel, CancelAll, Shutdown or Close
	TimedOut                 // an error after its own timeout
	Rejected                 // refused: never accepted
)

// String returns the outcome as logs, spans and metrics show it: pending, completed, failed,
// cancelled, timed_out or rejected.
func (o Outcome) String() string {
	names := [...]string{"pending", "completed", "failed", "cancelled", "timed_out", "rejected"}
	if int(o) >= len(names) {
		return "unknown"
	}
	return names[o]
}

// OutcomeOf returns the outcome that err stands for. A middleware calls it with what next
// returned, and gets what the manager will make of that error, too.
//
//   - nil is Completed, however late.
//   - A panic and [ErrGoexit] are Failed.
//   - Another error after the task's own timeout is TimedOut, after a cancel Cancelled; of
//     the two, what came first counts.
//   - Any other error is Failed.
//
// It goes by the state at the moment the Func returned last. What fires after that changes
// nothing, unless the context's own error ([context.Context.Err] or [context.Cause]) has come into err since, alone
// or joined with others, as from a retry that was interrupted while it backed off. Where the Func
// was not called, it goes by the state now.
//
// The end of a context that a middleware derived is none of these: an error after that is Failed.
//
// For a task made by [NewTask], an error that matches [ErrTimeout] is TimedOut, and one
// that matches [ErrCancelled] or [ErrShutdown], or comes after Cancel, is Cancelled.
func (t *Task) OutcomeOf(err error) (outcome Outcome) {
	if err == nil {
		return Completed
	}
	// The methods of err are the user's: As, Is and Unwrap may panic.
	defer func() {
		if recover() != nil {
			outcome = Failed
		}
	}()
	if _, panicked := panicIn(err); panicked || errors.Is(err, ErrGoexit) {
		return Failed
	}
	if ended := t.Outcome(); ended != Pending && errors.Is(err, t.Err()) {
		return ended
	}
	switch t.causeBehind(err) {
	case nil:
		return Failed
	case ErrTimeout:
		return TimedOut
	default:
		return Cancelled
	}
}

// causeBehind returns what had cancelled the task when err came up, or nil.
func (t *Task) causeBehind(err error) error {
	if t.shard == nil {
		return t.causeNamed(err)
	}
	t.mu.Lock()
	started, returned, more := t.started, t.calls.returned, t.more()
	t.mu.Unlock()
	if !started {
		return more.early
	}

	now := t.context().cause()
	switch {
	case !returned:
		return now
	case more.cause == nil && now != nil && isSince(err, more.fnErr, now):
		return now
	default:
		return more.cause
	}
}

// isOwn reports whether err is what a context returns that was cancelled with cause.
func isOwn(err, cause error) bool {
	switch {
	case errors.Is(err, cause):
		return true
	case cause == ErrTimeout:
		return errors.Is(err, context.DeadlineExceeded)
	default:
		return errors.Is(err, context.Canceled)
	}
}

// isSince reports whether the context's own error, after a cancel with cause, is in err and came there after the
// Func had returned fnErr. A Func whose call to a server timed out, say, returns an error that looks like the
// context's, too: then it has to be another error, or the cause itself.
func isSince(err, fnErr, cause error) bool {
	switch {
	case !isOwn(err, cause):
		return false
	case !isOwn(fnErr, cause), !errors.Is(err, fnErr):
		return true
	default:
		return errors.Is(err, cause) && !errors.Is(fnErr, cause)
	}
}

// causeNamed is causeBehind for a task without a context: err itself has to say it.
func (t *Task) causeNamed(err error) error {
	if early := t.earlyCause(); early != nil {
		return early
	}
	for _, cause := range []error{ErrTimeout, ErrCancelled, ErrShutdown} {
		if errors.Is(err, cause) {
			return cause
		}
	}
	return nil
}
