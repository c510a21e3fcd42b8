package otelmw

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// originField carries the trace that the first task of a chain of tasks came from.
const originField = "afterspan-origin"

// Inject writes into carrier what the spans of a task need if it runs in another process: as
// traceparent and tracestate (https://www.w3.org/TR/trace-context/) the span that they link to, or
// with [Child] their parent, and as afterspan-origin the trace id for afterspan.origin.trace_id.
//
// ctx is what the Spawn hooks returned, see [core.Chain.Spawn], or the context of a running task.
// Without a task in ctx it writes the current span of ctx. It writes nothing for [None]. It does not
// write baggage: use [propagation.Baggage] for that, if the other process may see it.
func Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	sc, origin := trace.SpanContextFromContext(ctx), ""
	if s, ok := ctx.Value(spawnKey{}).(*spawn); ok {
		origin = s.origin
		if s.spawner.IsValid() {
			sc = s.target()
		}
	}
	if sc.IsValid() {
		clean := trace.ContextWithSpanContext(context.Background(), sc)
		propagation.TraceContext{}.Inject(clean, carrier)
	}
	if origin != "" {
		carrier.Set(originField, origin)
	}
}

// target returns the span that the task's span refers to; it is invalid for None.
func (s *spawn) target() trace.SpanContext {
	if s.relation == Child {
		return s.spawner
	}
	return s.link
}

// Extract returns a copy of ctx with what [Inject] wrote into carrier: for [core.Chain.Run], where a task
// of another process runs. The span in it replaces the current one of ctx. What is missing or not
// valid in carrier is left out.
func Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	sc := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
	if sc.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	origin, err := trace.TraceIDFromHex(carrier.Get(originField))
	switch {
	case err == nil:
		return contextWithOrigin(ctx, origin)
	case sc.IsValid():
		return contextWithOrigin(ctx, sc.TraceID())
	default:
		return ctx
	}
}

// contextWithOrigin returns a copy of ctx in which tasks have that origin.
func contextWithOrigin(ctx context.Context, id trace.TraceID) context.Context {
	return context.WithValue(ctx, spawnKey{}, &spawn{origin: id.String()})
}
