package otelmw

import (
	"context"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// A run is one pass of a task through the rest of the chain: its only one, or one attempt of a retry
// outside.
type run struct {
	mw    *middleware
	spawn *spawn
	ctx   context.Context // for the rest of the chain: as it came here, or with the span

	attempt  int64     // of this task; 1 is the first
	began    time.Time // with metrics only
	isActive bool      // was counted as running
	extra    []attribute.KeyValue
}

// start starts the span and counts the run.
func (r *run) start() {
	r.attempt = r.spawn.attempts.Add(1)
	if r.mw.instruments != nil {
		r.began = time.Now()
		defer r.countStart() // within the span; deferred, because a callback may call runtime.Goexit
	}
	if r.mw.tracer != nil {
		r.startSpan()
	}
}

// startSpan starts the span and puts it into the context.
func (r *run) startSpan() {
	var sc trace.SpanContext
	if ctx, span := r.newSpan(); span != nil {
		r.ctx, sc = ctx, span.SpanContext()
		r.spawn.open.add(r.attempt, span)
	}
	if r.attempt == 1 {
		r.mw.linkSpawnSpan(r.spawn, sc)
	}
}

// newSpan returns a new span, or nil.
func (r *run) newSpan() (ctx context.Context, span trace.Span) {
	defer contain("the start of a span")
	parent := r.parentContext()
	ctx, started := r.mw.tracer.Start(parent, r.spawn.name, r.startOptions()...)
	if isNew(parent, started) {
		span = started
	}
	return ctx, span
}

// parentContext returns the context to start the span in. A child starts under the spawner's span,
// even if a middleware outside has put another span into the run's context.
func (r *run) parentContext() context.Context {
	s := r.spawn
	if s.relation != Child || trace.SpanContextFromContext(r.ctx).Equal(s.spawner) {
		return r.ctx
	}
	return trace.ContextWithSpanContext(r.ctx, s.spawner)
}

func (r *run) countStart() {
	defer contain("a metric")
	in, t := r.mw.instruments, r.spawn.task
	r.extra = r.mw.metricAttributes(r.ctx, t)
	if r.attempt == 1 {
		in.recordQueue(r.ctx, t, queueTime(t), r.extra)
	}
	if in.active.Enabled(r.ctx) {
		in.addActive(r.ctx, t, 1)
		r.isActive = true
	}
}

// endPassing ends a run whose Handler panicked or called Goexit. value is what recover returned: the
// value of the panic, which endPassing raises again, or nil after Goexit. A manager's chain turns
// panics into errors, so a panic comes here only if an engine runs the chain.
func (r *run) endPassing(value any) {
	if value == nil {
		r.end(core.ErrGoexit)
		return
	}
	defer panic(value)
	r.end(&core.PanicError{Value: value, Stack: debug.Stack()})
}

// end ends the span and counts the end of the run. It is called on every way out.
func (r *run) end(err error) {
	end := endingOf(r.spawn.task, r.spawn.task.OutcomeOf(err), err)
	if r.mw.instruments != nil {
		r.countEnd(end)
	}
	if span := r.spawn.open.take(r.attempt); span != nil {
		r.endSpan(span, end, err)
	}
}

func (r *run) countEnd(end ending) {
	defer contain("a metric")
	in, t := r.mw.instruments, r.spawn.task
	if r.isActive {
		in.addActive(r.ctx, t, -1)
	}
	if end.outcome != core.Rejected { // a refused task has no duration
		in.recordDuration(r.ctx, t, time.Since(r.began), end, r.extra)
	}
}

func (r *run) endSpan(span trace.Span, end ending, err error) {
	defer contain("the end of a span")
	defer func() { span.End() }() // not deferred itself: End would record a panic that passes
	if !span.IsRecording() {
		return
	}
	end.write(span)
	writePanic(span, r.spawn.task, err, r.mw.writeDescription(span, end, err))
}
