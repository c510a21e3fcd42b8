package core

import (
	"context"
	"errors"
	"reflect"
)

// An Outcome says how a task ended. Every task ends in exactly one.
type Outcome uint8

// The outcomes, and Pending before there is one.
const (
	Pending   Outcome = iota // not decided yet
	Completed                // no error, even after a cancel or its timeout
	Failed                   // an error of its own, a panic, or runtime.Goexit
	Cancelled                // an error after Cancel, CancelAll, Shutdown or Close, or the end of the context that it is attached to
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

// OutcomeOf returns the outcome that the manager would give the task if it ended with err. A
// middleware calls it with the result of next.
//
//   - nil is Completed, even after a cancel or a timeout.
//   - A panic of this task (see [Task.PanicOf]) and [ErrGoexit] are Failed. An error that wraps
//     ErrGoexit is an ordinary one: it comes from another task, which this one waited for.
//   - An error that matches [ErrRejected] is Rejected, unless the Func was called or the error is the
//     cause of a cancel, as in a [Group] with a refused task.
//   - Another error after the task's own timeout is TimedOut. After a cancel, or the end of the context
//     of an [Attached] task or a [Group], it is Cancelled. Whichever came first counts.
//   - Any other error is Failed.
//
// What counts is whether the task was cancelled or timed out when the Func last returned, or is now
// if no call has returned. A later cancel or timeout does not count, with one exception: if err
// contains the error or the cause of the task's context, the state now counts. A retry that is
// interrupted in its backoff returns such an error.
//
// The error of a context that a middleware derived is an ordinary error.
//
// For a task of no manager (see [NewTask], [NewAttempt]), an error that matches [ErrTimeout] is
// also TimedOut, and one that matches [ErrCancelled] or [ErrShutdown] is Cancelled.
func (t *Task) OutcomeOf(err error) Outcome {
	t.mu.Lock()
	seen := t.evidence()
	t.mu.Unlock()
	outcome, _ := t.judge(seen, err)
	return outcome
}

// CauseOf returns why the task is Cancelled or TimedOut, if it ended with err, in the word that log
// lines have: "timeout", "cancel", "shutdown", or "context" for the end of the context of an
// [Attached] task or a [Group]. For every other outcome it returns "". See [Task.OutcomeOf].
func (t *Task) CauseOf(err error) string {
	t.mu.Lock()
	seen := t.evidence()
	t.mu.Unlock()
	outcome, cause := t.judge(seen, err)
	if outcome != Cancelled && outcome != TimedOut {
		return ""
	}
	return t.causeWord(cause)
}

// An ending describes how a run ended.
type ending struct {
	err      error
	outcome  Outcome
	cause    error           // of the cancel or timeout that counted
	ctx      context.Context // to log with
	returned bool            // the chain returned; if not, runtime.Goexit is ending the goroutine
}

// evidence is what judge needs to know of a task.
type evidence struct {
	outcome Outcome // once it is decided
	cause   error   // of the first cancel; once the outcome is decided, the cause that counted
	started bool
	run     *run // nil if the outcome is decided, or the task was made by NewTask
	calls   calls
}

// evidence returns the state as it is now. t.mu is held.
func (t *Task) evidence() evidence {
	switch {
	case t.outcome != Pending:
		return evidence{outcome: t.outcome, cause: t.endCause}
	case t.run == nil:
		return evidence{cause: t.cause}
	default:
		return evidence{cause: t.cause, started: !t.started.IsZero(), run: t.run, calls: t.run.calls}
	}
}

// judge returns the outcome for err, and the cause of the cancel or timeout that counts.
func (t *Task) judge(seen evidence, err error) (outcome Outcome, cause error) {
	mayReject, cause := t.stateFor(seen, err)
	_, panicked := t.PanicOf(err)
	switch {
	case err == nil:
		return Completed, cause
	case panicked, err == ErrGoexit:
		return Failed, cause
	case mayReject && is(err, ErrRejected) && (cause == nil || !is(err, cause)):
		return Rejected, cause
	case cause == nil:
		return Failed, nil
	case cause == ErrTimeout && !t.isByContext(cause):
		return TimedOut, cause
	default:
		return Cancelled, cause
	}
}

// stateFor returns whether err may be a refusal, and the cause of the cancel or timeout that counts
// for it.
func (t *Task) stateFor(seen evidence, err error) (mayReject bool, cause error) {
	if seen.outcome != Pending {
		return seen.outcome == Rejected, seen.cause
	}
	cause = seen.cause
	if seen.started {
		cause = seen.run.cancelledBy()
	}
	calls := &seen.calls
	isLater := calls.cause == nil && cause != nil && isSince(err, calls.err, cause)
	if calls.returned && !isLater {
		cause = calls.cause
	}
	if cause == nil && t.manager == nil {
		cause = causeIn(err) // the engine may have timeouts and cancels that the context does not show
	}
	return !calls.called, cause
}

// cancelledBy returns what cancelled the run's context: ErrTimeout, ErrCancelled, ErrShutdown or
// the cause of the context that the task is attached to. It returns nil if nothing did, or only a
// context that a Spawn returned.
func (r *run) cancelledBy() error {
	std := r.made()
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
	if r.task.options.attached {
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

// isSince reports whether err comes from the end of the context, with that cause, after the Func
// had returned fnErr. If fnErr looks like a context error itself, as a network timeout does, err
// counts only if it does not wrap fnErr, or if it contains cause and fnErr does not.
func isSince(err, fnErr, cause error) bool {
	switch {
	case !isOwn(err, cause):
		return false
	case !isOwn(fnErr, cause), !isSame(err, fnErr):
		return true
	default:
		return is(err, cause) && !is(fnErr, cause)
	}
}

// isOwn reports whether err matches what a context that was cancelled with cause returns.
func isOwn(err, cause error) bool {
	switch {
	case is(err, cause):
		return true
	case cause == ErrTimeout:
		return is(err, context.DeadlineExceeded)
	default:
		return is(err, context.Canceled)
	}
}

// isSame reports whether err wraps fnErr. If fnErr cannot be compared it reports true.
func isSame(err, fnErr error) bool {
	return !reflect.ValueOf(fnErr).Comparable() || is(err, fnErr)
}

// causeIn returns the cause of a cancel or timeout that err matches, or nil.
func causeIn(err error) error {
	for _, cause := range []error{ErrTimeout, ErrCancelled, ErrShutdown} {
		if is(err, cause) {
			return cause
		}
	}
	return nil
}

// is returns errors.Is(err, target), or false if that panics: in a method of a user's error, or
// because it cannot be compared.
func is(err, target error) (yes bool) {
	defer contain()
	return errors.Is(err, target)
}
