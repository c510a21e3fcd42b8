package otelmw

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// An ending is how a task, or one run of it, ended, in the words of spans and metrics.
type ending struct {
	outcome     core.Outcome
	errorType   string // of Failed and TimedOut
	cancelCause string // of Cancelled
	handedOver  bool   // cancelled, and a middleware saved the work
}

// endingOf returns how t ended, or one run of it, with that outcome and err.
func endingOf(t *core.Task, outcome core.Outcome, err error) ending {
	end := ending{outcome: outcome}
	switch outcome {
	case core.Failed, core.TimedOut:
		end.errorType = errorType(t, err, outcome)
	case core.Cancelled:
		end.cancelCause = t.CauseOf(err)
		end.handedOver = isHandedOver(err)
	case core.Pending, core.Completed, core.Rejected:
	}
	return end
}

// isHandedOver calls methods of err, which may be users' code.
func isHandedOver(err error) (yes bool) {
	defer contain("an error")
	return errors.Is(err, core.ErrHandedOver)
}

// write gives span the outcome and, if that is an error, its type. The text of the error comes after
// that: to get it calls user code, which may not return.
func (end ending) write(span trace.Span) {
	outcome := taskOutcomeKey.String(end.outcome.String())
	switch {
	case end.errorType != "":
		span.SetAttributes(outcome, errorTypeKey.String(end.errorType))
		span.SetStatus(codes.Error, "")
	case end.cancelCause != "":
		span.SetAttributes(outcome, cancelCauseKey.String(end.cancelCause))
		if end.handedOver {
			span.SetAttributes(handedOverKey.Bool(true))
		}
	default:
		span.SetAttributes(outcome)
	}
}

// writeDescription gives span the text of the error, if it ended with one, and returns it.
func (mw *middleware) writeDescription(span trace.Span, end ending, err error) (description string) {
	if end.errorType != "" {
		description = mw.describe(err)
		span.SetStatus(codes.Error, description)
	}
	return description
}

// writePanic adds the exception event of a panic of t's own, if err is one.
func writePanic(span trace.Span, t *core.Task, err error, description string) {
	panicked, ok := t.PanicOf(err)
	if !ok {
		return
	}
	span.AddEvent("exception", trace.WithAttributes(
		exceptionTypeKey.String(fmt.Sprintf("%T", panicked.Value)),
		exceptionMessageKey.String(description),
		exceptionStacktraceKey.String(cut(string(panicked.Stack), longestStack))))
}

// writeAbandoned gives span the outcome of a task that a shutdown left running.
func writeAbandoned(span trace.Span) {
	span.SetAttributes(taskOutcomeKey.String("abandoned"))
	span.SetStatus(codes.Error, "the task was still running at the end of the shutdown")
}
