package otelmw

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// startOptions returns what the span of a run starts with.
func (r *run) startOptions() []trace.SpanStartOption {
	opts := make([]trace.SpanStartOption, 0, 4+len(r.mw.startOptions))
	opts = append(opts, consumerKind)
	opts = append(opts, r.mw.startOptions...)
	if r.spawn.relation != Child {
		opts = append(opts, newRoot)
	}
	if r.spawn.link.IsValid() { // the SDK keeps an invalid link that has attributes
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: r.spawn.link, Attributes: linkToSpawner}))
	}
	return append(opts, trace.WithAttributes(r.attributes()...))
}

// Options that are made once, since each is an allocation.
var (
	consumerKind = trace.WithSpanKind(trace.SpanKindConsumer)
	producerKind = trace.WithSpanKind(trace.SpanKindProducer)
	newRoot      = trace.WithNewRoot()
)

// mostOurs is how many attributes of ours a span may start with.
const mostOurs = 9

// attributes returns all that is known at the start, since samplers see only that. Ours come first,
// so that a limit on their number does not cost one of them.
func (r *run) attributes() attributes {
	t, s := r.spawn.task, r.spawn
	own := t.Attrs()
	room := mostOurs + len(own) + len(s.baggage) + len(r.mw.attributes)
	a := make(attributes, 0, min(room, mostAttributes))
	a.append(pendingOutcome)
	a.append(taskNameKey.String(text(t.Name())))
	a.append(taskIDKey.Int64(int64(t.ID())))
	if t.Timeout() > 0 {
		a.append(seconds(taskTimeoutKey, t.Timeout()))
	}
	a.append(seconds(taskQueueTimeKey, queueTime(t)))
	if attempt := int64(t.Attempt()) - 1 + r.attempt; attempt > 1 {
		a.append(taskAttemptKey.Int64(attempt))
	}
	if s.link.IsValid() {
		a.append(spawnerTraceIDKey.String(s.traceID))
		a.append(spawnerSpanIDKey.String(s.spanID))
	}
	if s.origin != "" {
		a.append(originTraceIDKey.String(s.origin))
	}
	r.mw.addTask(&a, own)
	r.mw.addOptional(r.ctx, &a, s)
	return a
}

// pendingOutcome is the first attribute of a span, so that a limit on their number does not cost the
// outcome: it is replaced at the end.
var pendingOutcome = taskOutcomeKey.String("pending")

// Attributes of links. They are read only, so one of each is enough.
var (
	linkToTask    = []attribute.KeyValue{linkKindKey.String("task")}
	linkToSpawner = []attribute.KeyValue{linkKindKey.String("spawner")}
)
