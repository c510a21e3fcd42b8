package otelmw

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// A run is one pass of a task through what is further in: the task's only one, or one attempt of a retry outside.
type run struct {
	mw    *middleware
	task  *core.Task
	spawn *spawn

	ctx      context.Context
	span     trace.Span           // nil: none
	began    time.Time            // with metrics; else where a task does not say when it started
	active   bool                 // was counted as running
	extra    []attribute.KeyValue // of WithMetricAttributesFunc
	err      error
	returned bool // by return: neither a panic nor Goexit
}

// An ending is how a run ended, in the words of spans and metrics.
type ending struct {
	outcome   core.Outcome
	errorType string // of Failed and TimedOut
}

// start starts the span, in the context of what is further in, and counts the run.
func (r *run) start() {
	attempt := r.spawn.attempts.Add(1)
	if r.mw.tracer != nil {
		r.startSpan(attempt)
	}
	if r.mw.instruments != nil {
		r.countStart(attempt)
	}
}

func (r *run) startSpan(attempt int64) {
	defer contain("the start of a span")
	var to trace.SpanContext
	if attempt == 1 {
		defer func() { r.spawn.endSpan(to) }()
	}
	ctx, span := r.mw.tracer.Start(r.parentContext(), r.mw.spanName(r.task), r.startOptions(attempt)...)
	r.span, to = span, span.SpanContext()
	if to.IsValid() || span.IsRecording() || !r.spawn.spawner.sc.IsValid() {
		r.ctx = ctx
	} // else it is a no-op's, and a spawner's SpanContext is more than that
}

// parentContext returns the context to start the span in. For Child that is the spawner's, whatever
// span a middleware outside may have put into the run's.
func (r *run) parentContext() context.Context {
	s := r.spawn
	if s.relation != Child || trace.SpanContextFromContext(r.ctx).Equal(s.spawner.sc) {
		return r.ctx
	}
	return trace.ContextWithSpanContext(r.ctx, s.spawner.sc)
}

func (r *run) countStart(attempt int64) {
	defer contain("a metric")
	in := r.mw.instruments
	for _, f := range r.mw.metricAttributesFuncs {
		r.extra = append(r.extra, callForAttributes(r.ctx, r.task, f, "the callback of WithMetricAttributesFunc")...)
	}
	if attempt == 1 {
		in.recordQueue(r.ctx, r.task, r.queueTime(), r.extra)
	}
	if in.active.Enabled(r.ctx) {
		in.addActive(r.ctx, r.task, 1)
		r.active = true
	}
}

// end is deferred, and so called on every way out.
func (r *run) end() {
	if !r.returned {
		r.err = unreturned()
	}
	end := ending{outcome: r.task.OutcomeOf(r.err)}
	if end.outcome == core.Failed || end.outcome == core.TimedOut {
		end.errorType = errorType(r.err, end.outcome)
	}
	if r.mw.instruments != nil {
		r.countEnd(end)
	}
	if r.span != nil {
		r.endSpan(end)
	}
}

func (r *run) countEnd(end ending) {
	defer contain("a metric")
	in := r.mw.instruments
	if r.active {
		in.addActive(r.ctx, r.task, -1)
	}
	if end.outcome != core.Rejected { // a refused task has no duration of its own
		in.recordDuration(r.ctx, r.task, time.Since(r.began), end, r.extra)
	}
}

func (r *run) endSpan(end ending) {
	defer contain("the end of a span")
	defer func() { r.span.End() }() // not deferred itself: End would take a panic for the task's, and record it
	if !r.span.IsRecording() {
		return
	}
	if end.errorType == "" {
		r.span.SetAttributes(outcomeAttributes[end.outcome]...)
		return
	}
	r.span.SetAttributes(taskOutcomeKey.String(end.outcome.String()), semconv.ErrorTypeKey.String(end.errorType))
	description := r.mw.describe(r.err)
	r.span.SetStatus(codes.Error, description)
	if panicked, ok := r.task.PanicOf(r.err); ok {
		r.span.AddEvent("exception", trace.WithAttributes(
			semconv.ExceptionType(fmt.Sprintf("%T", panicked.Value)),
			semconv.ExceptionMessage(description),
			semconv.ExceptionStacktrace(cut(string(panicked.Stack), longestStack))))
	}
}

// outcomeAttributes are those of the outcomes without an error.type. Like all arguments they are read only, so one is enough.
var outcomeAttributes = [...][]attribute.KeyValue{
	core.Completed: {taskOutcomeKey.String(core.Completed.String())},
	core.Cancelled: {taskOutcomeKey.String(core.Cancelled.String())},
	core.Rejected:  {taskOutcomeKey.String(core.Rejected.String())},
}

// unreturned says why the handler further in does not return. A manager's chain turns panics into errors, so
// with one it is Goexit. Another engine's may let a panic pass, and then its value cannot be seen without stopping it.
func unreturned() error {
	var frames [32]uintptr
	n := runtime.Callers(0, frames[:])
	for iter := runtime.CallersFrames(frames[:n]); ; {
		frame, more := iter.Next()
		switch {
		case strings.HasPrefix(frame.Function, "runtime.gopanic"):
			return &core.PanicError{Value: "see the stack", Stack: debug.Stack()}
		case frame.Function == "runtime.Goexit", !more:
			return core.ErrGoexit
		}
	}
}
