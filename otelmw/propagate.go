package otelmw

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// Our own fields, in addition to those of W3C Trace Context.
const (
	originField  = "afterspan-origin"  // the id of the trace that started the first of a chain of tasks
	spawnerField = "afterspan-spawner" // the spawner's trace and span, where traceparent has "spawn NAME"
)

// Inject writes into carrier what the spans of t need if it runs in another process. traceparent and
// tracestate (https://www.w3.org/TR/trace-context/) identify the span that they link to, or with [Child]
// their parent. afterspan-origin and afterspan-spawner are the values of afterspan.origin.trace_id and
// afterspan.spawner.span_id, this one after the trace's id and a hyphen.
//
// ctx is what the Spawn hooks of t returned, see [core.Chain.Spawn], or the context of its run. If t
// went through no middleware of this package, the current span of ctx is the one to link to. Inject
// writes no span for [None]. It does not write baggage: use [propagation.Baggage] for that, if the
// other process may see it.
func Inject(ctx context.Context, t *core.Task, carrier propagation.TextMapCarrier) {
	sc := trace.SpanContextFromContext(ctx)
	var origin, spawner string
	if s, ok := ctx.Value(spawnKey{}).(*spawn); ok {
		origin = s.origin
		if s.task == t && s.spawner.IsValid() {
			sc, spawner = s.target(), s.traceID+"-"+s.spanID
		}
	}
	if sc.IsValid() {
		clean := trace.ContextWithSpanContext(context.Background(), sc)
		propagation.TraceContext{}.Inject(clean, carrier)
		set(carrier, spawnerField, spawner)
	}
	set(carrier, originField, origin)
}

func set(carrier propagation.TextMapCarrier, field, value string) {
	if value != "" {
		carrier.Set(field, value)
	}
}

// target returns the span that the task's span refers to; it is invalid for None.
func (s *spawn) target() trace.SpanContext {
	if s.relation == Child {
		return s.spawner
	}
	return s.link
}

// Extract returns a copy of ctx with what [Inject] wrote into carrier, for [core.Chain.Run] of a task
// of another process. The span in carrier replaces the current one of ctx. Fields that are missing or not
// valid are ignored. So is afterspan-spawner if it is of another trace than traceparent: then somebody else
// has overwritten traceparent since. afterspan-origin may be of another trace.
func Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	sc := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
	if sc.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	s := new(spawn)
	if id, err := trace.TraceIDFromHex(carrier.Get(originField)); err == nil {
		s.origin = id.String()
	} else if sc.IsValid() {
		s.origin = sc.TraceID().String()
	}
	s.spanID = spawnerOf(sc, carrier.Get(spawnerField))
	return context.WithValue(ctx, spawnKey{}, s)
}

// spawnerOf returns the id of the spawner's span in field, or "" if it is not of the trace of sc.
func spawnerOf(sc trace.SpanContext, field string) string {
	traceID, spanID, _ := strings.Cut(field, "-")
	id, err := trace.SpanIDFromHex(spanID)
	if err != nil || !sc.IsValid() || traceID != sc.TraceID().String() {
		return ""
	}
	return id.String()
}
