package otelmw

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// A spawn is what is known of a task from its Spawn on. It is the task's context as well, and so finds itself in there.
type spawn struct {
	hiding
	mw       *middleware
	task     *core.Task // whose it is: the tasks that this one starts inherit the values of its context
	filtered bool
	relation Relation
	link     trace.SpanContext // what the task's span is to link to, if valid
	span     trace.Span        // the span "spawn NAME", which lasts until the run starts; or nil
	attempts atomic.Int64      // runs that have begun
}

type spawnKey struct{ mw *middleware }

// Value implements context.Context.
func (s *spawn) Value(key any) any {
	if key == (spawnKey{s.mw}) {
		return s
	}
	return s.hiding.Value(key)
}

func (mw *middleware) newSpawn(ctx context.Context, t *core.Task, spawner trace.Span) *spawn {
	sc := spawner.SpanContext()
	s := &spawn{hiding: newHiding(ctx, sc), mw: mw, task: t}
	if !mw.record(ctx, t) {
		s.filtered = true
		return s
	}
	if mw.tracer == nil {
		return s
	}
	s.relation = mw.relationOf(ctx, t)
	if s.relation != Child && s.relation != None && sc.IsValid() {
		s.link = sc
		if mw.spawnSpan && spawner.IsRecording() {
			mw.startSpawnSpan(ctx, t, s)
		}
	}
	return s
}

// startSpawnSpan starts the span that stands for the task in the spawner's trace.
func (mw *middleware) startSpawnSpan(ctx context.Context, t *core.Task, s *spawn) {
	defer contain("the start of a span")
	_, span := mw.tracer.Start(ctx, "spawn "+mw.spanName(t), spawnOptions(t)...)
	if span.IsRecording() { // a sampler may have dropped it, and nothing is to link to what is not there
		s.span, s.link = span, span.SpanContext()
	}
}

// spawnOptions returns what a span "spawn NAME" starts with, in one allocation.
func spawnOptions(t *core.Task) []trace.SpanStartOption {
	var parts struct {
		options [2]trace.SpanStartOption
		attrs   [2]attribute.KeyValue
	}
	parts.attrs = [...]attribute.KeyValue{taskNameKey.String(text(t.Name())), taskIDKey.Int64(int64(t.ID()))}
	parts.options = [...]trace.SpanStartOption{producerKind, trace.WithAttributes(parts.attrs[:]...)}
	return parts.options[:]
}

// spawnOf returns the spawn of t. There is none if an engine runs the chain without having called Spawn,
// and then the context of the run is the spawner's.
func (mw *middleware) spawnOf(ctx context.Context, t *core.Task) *spawn {
	if s, ok := ctx.Value(spawnKey{mw}).(*spawn); ok && s.task == t {
		return s
	}
	spawner := hide(ctx, trace.SpanFromContext(ctx)) // too late for a span in its trace
	return mw.newSpawn(spawner, t, trace.SpanFromContext(spawner))
}

// endSpan ends the span "spawn NAME", as the first run starts, whose span is to.
func (s *spawn) endSpan(to trace.SpanContext) {
	if s.span == nil {
		return
	}
	defer contain("the end of a span")
	if to.IsValid() {
		s.span.AddLink(trace.Link{SpanContext: to})
	}
	s.span.End()
	s.span = nil // the task may go on for long
}
