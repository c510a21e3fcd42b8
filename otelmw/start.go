package otelmw

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// A startParts holds what the start of a task's span is told: one allocation for what are three slices otherwise. It is never
// used again, since a sampler or a processor may keep any of them.
type startParts struct {
	options [5]trace.SpanStartOption
	links   [1]trace.Link
	attrs   [9]attribute.KeyValue // ours with a timeout, and three of the task
}

func (r *run) startOptions(attempt int64) []trace.SpanStartOption {
	parts := new(startParts)
	opts := append(parts.options[:0], consumerKind)
	opts = append(opts, r.mw.startOptions...)
	if r.spawn.relation != Child {
		opts = append(opts, newRoot)
	}
	if r.spawn.link.IsValid() { // the SDK keeps an invalid link that has attributes
		parts.links[0].SpanContext = r.spawn.link
		opts = append(opts, trace.WithLinks(parts.links[:]...))
	}
	return append(opts, trace.WithAttributes(r.attributes(parts.attrs[:0], attempt)...))
}

// Options that are made once, since each is an allocation.
var (
	consumerKind = trace.WithSpanKind(trace.SpanKindConsumer)
	producerKind = trace.WithSpanKind(trace.SpanKindProducer)
	newRoot      = trace.WithNewRoot()
)

// attributes adds to a all that is known at the start, since samplers see only that. Ours come first, so that
// a limit on their number never costs one of them.
func (r *run) attributes(a attributes, attempt int64) attributes {
	t, s := r.task, r.spawn
	a.append(taskNameKey.String(text(t.Name())))
	a.append(taskIDKey.Int64(int64(t.ID())))
	if t.Timeout() > 0 {
		a.append(seconds(taskTimeoutKey, t.Timeout()))
	}
	a.append(seconds(taskQueueTimeKey, r.queueTime()))
	if attempt > 1 {
		a.append(taskAttemptKey.Int64(attempt))
	}
	if s.link.IsValid() {
		traceID, spanID := hexIDs(s.spawner.sc)
		a.append(spawnerTraceIDKey.String(traceID))
		a.append(spawnerSpanIDKey.String(spanID))
	}
	own := t.Attrs()
	a = slices.Grow(a, min(len(own)+len(r.mw.attributes), mostAttributes))
	r.mw.addTask(&a, own)
	r.mw.addOptional(r.ctx, &a, t)
	return a
}

// queueTime returns how long the task waited for its start.
func (r *run) queueTime() time.Duration {
	started := r.task.StartedAt()
	if started.IsZero() { // of an engine that is not core's
		if r.began.IsZero() {
			r.began = time.Now()
		}
		started = r.began
	}
	return started.Sub(r.task.CreatedAt())
}
