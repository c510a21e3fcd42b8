package riverq

import (
	"context"
	"errors"

	"github.com/riverqueue/river/rivertype"

	"github.com/afterspan/afterspan/core"
)

// A verdict is the error of a job that was cancelled, snoozed, stopped or timed out, with the cause
// by which core judges it. In all else it is that error: River must not take it for another.
type verdict struct {
	error
	cause error // core.ErrCancelled, core.ErrShutdown or core.ErrTimeout
}

func (v *verdict) Unwrap() error { return v.error }

// Is makes the verdict match its cause, but not what the cause matches: an error that matches
// context.Canceled has a meaning for River.
func (v *verdict) Is(target error) bool { return target == v.cause }

// judge returns err, the error of a job, as a verdict if there is a cause for it. ctx is the one
// that River gave to Work. The order is River's own.
func (a *attempt) judge(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	cause := causeOf(ctx, err)
	if cause == nil && a.timedOut {
		cause = core.ErrTimeout
	}
	if cause == nil {
		return err
	}
	return &verdict{err, cause}
}

func causeOf(ctx context.Context, err error) error {
	_, isSnooze := errors.AsType[*rivertype.JobSnoozeError](err)
	_, isCancel := errors.AsType[*rivertype.JobCancelError](err)
	switch {
	case errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely), isSnooze:
		return core.ErrCancelled
	case isStop(ctx, err):
		return core.ErrShutdown
	case isCancel:
		return core.ErrCancelled
	default:
		return nil
	}
}

// isStop reports whether the job returned because the client stops: its context was cancelled, by
// Stop or by the context given to Start, and it returned that context's error or cause.
func isStop(ctx context.Context, err error) bool {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))
}
