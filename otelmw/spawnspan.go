package otelmw

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The span "spawn NAME" stands for the task in the trace of its spawner. It ends, by its end time,
// when Spawn returns, and so never makes that trace look longer. It is handed over to the SDK's
// processors later, when it can say what became of the task.

// startSpawnSpan starts the span "spawn NAME" of s, if the task is to have one.
func (mw *middleware) startSpawnSpan(ctx context.Context, s *spawn) {
	if !mw.spawnSpan || !s.isLinked() || !s.spawnerRecords {
		return
	}
	defer contain("the start of a span")
	_, span := mw.tracer.Start(ctx, "spawn "+s.name, producerKind, trace.WithAttributes(spawnAttributes(s)...))
	if !isNew(ctx, span) {
		return
	}
	if span.SpanContext().IsSampled() { // or the link would lead to a span that is not exported
		s.link = span.SpanContext()
	}
	if span.IsRecording() {
		s.held = &heldSpan{span: span, endsAt: time.Now()}
		mw.hold.add(s.held)
	}
}

// isNew reports whether the tracer made a new span. A tracer that makes none returns the current
// span of ctx, or a span that does not record and has the same SpanContext. Neither is ours to end.
func isNew(ctx context.Context, span trace.Span) bool {
	current := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		return span != current
	}
	sc := span.SpanContext()
	return sc.IsValid() && !sc.Equal(current.SpanContext())
}

// spawnAttributes returns the attributes that a span "spawn NAME" starts with. A task that an engine has
// not stored yet has no ID.
func spawnAttributes(s *spawn) []attribute.KeyValue {
	attrs := []attribute.KeyValue{pendingOutcome, taskNameKey.String(text(s.task.Name()))}
	if id := s.task.ID(); id != 0 {
		attrs = append(attrs, taskIDKey.Int64(int64(id)))
	}
	return attrs
}

// linkSpawnSpan links the span "spawn NAME" to the task's span, as the first run starts. If the spans
// are not held it hands the span over.
func (mw *middleware) linkSpawnSpan(s *spawn, to trace.SpanContext) {
	if s.held == nil {
		return
	}
	defer contain("the end of a span")
	if span := mw.hold.look(s.held); span != nil && to.IsSampled() {
		span.AddLink(trace.Link{SpanContext: to, Attributes: linkToTask})
	}
	if mw.hold.after <= 0 {
		mw.takeSpawnSpan(s).end()
	}
}

// takeSpawnSpan takes the span "spawn NAME" of s, if nobody has.
func (mw *middleware) takeSpawnSpan(s *spawn) endedSpan {
	if s.held == nil {
		return endedSpan{}
	}
	return endedSpan{mw.hold.take(s.held), s.held.endsAt}
}

// endSpawnSpan hands the span "spawn NAME" over with the outcome of the task, which has ended.
func (mw *middleware) endSpawnSpan(ctx context.Context, s *spawn) {
	span := mw.takeSpawnSpan(s)
	if span.Span == nil {
		return
	}
	defer span.end()
	defer contain("the end of a span")
	err := s.task.Err()
	end := endingOf(s.task, s.task.Outcome(), err)
	end.write(span)
	mw.writeDescription(span, end, err)
	if s.attempts.Load() == 0 { // there is no other span that could have the task's attributes
		span.SetAttributes(mw.attributesOfUnrun(ctx, s)...)
	}
}

// attributesOfUnrun returns the attributes of a task without a run, such as one that was cancelled in
// the queue.
func (mw *middleware) attributesOfUnrun(ctx context.Context, s *spawn) (a attributes) {
	a.append(seconds(taskQueueTimeKey, queueTime(s.task)))
	a.append(originTraceIDKey.String(s.origin))
	mw.addTask(&a, s.task.Attrs())
	mw.addOptional(ctx, &a, s)
	return a
}

// abandonSpawnSpan hands the span "spawn NAME" over with the outcome abandoned.
func (mw *middleware) abandonSpawnSpan(s *spawn) {
	span := mw.takeSpawnSpan(s)
	if span.Span == nil {
		return
	}
	defer span.end()
	defer contain("the end of a span")
	writeAbandoned(span)
}
