package core

import (
	"context"
	"errors"
	"reflect"
)

// An Outcome is how a task ended. Every task ends in exactly one.
type Outcome uint8

// The outcomes, and Pending before there is one.
const (
	Pending   Outcome = iota // not decided yet
	Completed                // no error, however late
	Failed                   // an error of its own, a panic, or runtime.Goexit
	Cancelled                // an error after Cancel, CancelAll, Shutdown or Close, or the end of its context
	TimedOut                 // an error after its own timeout
	Rejected                 // refused, by the manager or by a middleware
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

// OutcomeOf returns the outcome that err stands for. A middleware calls it with the result of next,
// and gets what the manager will make of that error, too.
//
//   - nil is Completed, however late.
//   - A panic of the task's own (see [Task.PanicOf]) and [ErrGoexit] are Failed.
//   - An error that matches [ErrRejected] is Rejected if the Func was never called and it is not the
//     cause of a cancel, as in a [Group] with a refused task.
//   - Another error after the task's own timeout is TimedOut. After a cancel, or the end of the context
//     of an [Attached] task or a [Group], it is Cancelled. Of the two, the first counts.
//   - Any other error is Failed.
//
// The state when the Func last returned decides, or the state now if it was never called. What
// happens after that changes nothing, with one exception: if the error of the task's context
// ([context.Context.Err] or [context.Cause]) has come into err since, as from a retry interrupted
// while it backs off, the state now decides.
//
// The end of a context that a middleware derived is an error like any other.
//
// For a task made by [NewTask], an error that matches [ErrTimeout] is TimedOut, and one that
// matches [ErrCancelled] or [ErrShutdown], or comes after Cancel, is Cancelled.
func (t *Task) OutcomeOf(err error) Outcome {
	t.mu.Lock()
	seen := t.evidence()
	t.mu.Unlock()
	outcome, _ := t.judge(seen, err)
	return outcome
}

// An ending is how a run ended.
type ending struct {
	err      error
	outcome  Outcome
	cause    error           // what had cancelled the context
	ctx      context.Context // to log with
	returned bool            // the chain has: if not, runtime.Goexit is ending the goroutine
	goesOn   bool            // the goroutine does
}

// evidence is the state of a task that its outcome is judged by.
type evidence struct {
	outcome Outcome // once it is decided
	cause   error   // of the first cancel; once the outcome is decided: what had cancelled the context
	started bool
	run     *run // nil: it has ended, or was made by NewTask
	calls   calls
}

// evidence returns the state as it is now. t.mu is held.
func (t *Task) evidence() evidence {
	if t.outcome != Pending || t.run == nil {
		return evidence{outcome: t.outcome, cause: t.endCause}
	}
	return evidence{cause: t.cause, started: !t.started.IsZero(), run: t.run, calls: t.run.calls}
}

// judge returns the outcome that err stands for, and what had cancelled the task by then.
func (t *Task) judge(seen evidence, err error) (outcome Outcome, cause error) {
	// Methods of err are the user's, and may panic.
	defer func() {
		if recover() != nil {
			outcome = Failed
		}
	}()
	rejected, cause := t.stateFor(seen, err)
	_, panicked := t.PanicOf(err)
	switch {
	case err == nil:
		return Completed, cause
	case panicked, errors.Is(err, ErrGoexit):
		return Failed, cause
	case rejected && errors.Is(err, ErrRejected) && (cause == nil || !errors.Is(err, cause)):
		return Rejected, cause
	case cause == nil:
		return Failed, nil
	case cause == ErrTimeout && !t.isByContext(cause):
		return TimedOut, cause
	default:
		return Cancelled, cause
	}
}

// stateFor returns whether err may be a refusal, and what had cancelled the task when err came up.
func (t *Task) stateFor(seen evidence, err error) (mayReject bool, cause error) {
	switch {
	case t.manager == nil:
		return true, t.causeNamed(err)
	case seen.outcome != Pending:
		return seen.outcome == Rejected, seen.cause
	case seen.started:
		cause = seen.run.cancelledBy()
	default:
		cause = seen.cause
	}
	calls := &seen.calls
	if calls.returned && !(calls.cause == nil && cause != nil && isSince(err, calls.err, cause)) {
		cause = calls.cause
	}
	return !calls.called, cause
}

// cancelledBy returns what cancelled the run's context: ErrTimeout, ErrCancelled, ErrShutdown or
// the cause of the context of an Attached task; nil if nothing did, or a context that a Spawn
// returned.
func (r *run) cancelledBy() error {
	std := r.looked()
	if std == nil {
		if r.expired() {
			return ErrTimeout
		}
		return nil
	}
	cause := context.Cause(std)
	switch cause {
	case nil, ErrTimeout, ErrCancelled, ErrShutdown:
		return cause
	}
	if r.task.attached() {
		return r.task.cancelCause()
	}
	return nil
}

// cancelCause returns the cause of the first cancel, or nil.
func (t *Task) cancelCause() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cause
}

// isSince reports whether err has the error of a context that was cancelled with cause, and got it
// after the Func had returned fnErr. A Func whose call to a server timed out returns an error that
// looks like the context's, too: then err has to be another error, or the cause itself.
func isSince(err, fnErr, cause error) bool {
	switch {
	case !isOwn(err, cause):
		return false
	case !isOwn(fnErr, cause), !isSame(err, fnErr):
		return true
	default:
		return errors.Is(err, cause) && !errors.Is(fnErr, cause)
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

// isSame reports whether fnErr is in err. Of an error that cannot be compared it assumes so.
func isSame(err, fnErr error) bool {
	return errors.Is(err, fnErr) || !reflect.ValueOf(fnErr).Comparable()
}

// causeNamed returns what cancelled a task that has no context: err itself has to say it.
func (t *Task) causeNamed(err error) error {
	if cause := t.cancelCause(); cause != nil {
		return cause
	}
	for _, cause := range []error{ErrTimeout, ErrCancelled, ErrShutdown} {
		if errors.Is(err, cause) {
			return cause
		}
	}
	return nil
}
