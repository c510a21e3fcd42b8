package otelmw

import (
	"context"
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
}

// endingOf returns how t ended, or one run of it: in ctx, with that outcome and err.
func endingOf(ctx context.Context, t *core.Task, outcome core.Outcome, err error) ending {
	end := ending{outcome: outcome}
	switch outcome {
	case core.Failed, core.TimedOut:
		end.errorType = errorType(t, err, outcome)
	case core.Cancelled:
		end.cancelCause = cancelCause(ctx)
	case core.Pending, core.Completed, core.Rejected:
	}
	return end
}

// cancelCause returns what cancelled the task whose context ctx is: cancel, shutdown, or context if it
// was the end of the context that an Attached task or a Group was given.
func cancelCause(ctx context.Context) string {
	switch context.Cause(ctx) {
	case core.ErrCancelled:
		return "cancel"
	case core.ErrShutdown:
		return "shutdown"
	default:
		return "context"
	}
}

// describeEnding returns the text of an ending that is an error.
func (mw *middleware) describeEnding(end ending, err error) string {
	if end.errorType == "" {
		return ""
	}
	return mw.describe(err)
}

// write gives span the outcome and, if that is an error, its type and description.
func (end ending) write(span trace.Span, description string) {
	outcome := taskOutcomeKey.String(end.outcome.String())
	switch {
	case end.errorType != "":
		span.SetAttributes(outcome, errorTypeKey.String(end.errorType))
		span.SetStatus(codes.Error, description)
	case end.cancelCause != "":
		span.SetAttributes(outcome, cancelCauseKey.String(end.cancelCause))
	default:
		span.SetAttributes(outcome)
	}
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
