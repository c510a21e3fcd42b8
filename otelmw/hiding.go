package otelmw

import (
	"context"
	"fmt"
	"reflect"

	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// The spawner's span will have ended when the task runs: whoever found it in the context would write to a dead span. So a task
// gets its SpanContext and nothing else of it. That is what trace.ContextWithSpanContext is for, but every task passes here, and
// it takes an allocation for the span, one for the context, and another for what we keep in the context ourselves. A context
// that has all that in it is one; the price is that it has to know the trace package's key.

// hiding is a context with the SpanContext of the spawner in place of its span, if that is valid.
type hiding struct {
	context.Context
	spawner hiddenSpan
}

func newHiding(ctx context.Context, sc trace.SpanContext) hiding {
	if spanKey == (unknownKey{}) && sc.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, sc)
	}
	return hiding{Context: ctx, spawner: hiddenSpan{Span: noSpan, sc: sc}}
}

// hide returns ctx with the SpanContext of its current span in place of that, unless it is a SpanContext alone already.
func hide(ctx context.Context, span trace.Span) context.Context {
	sc := span.SpanContext()
	if _, hidden := span.(*hiddenSpan); hidden || !sc.IsValid() || reflect.TypeOf(span) == plainSpan {
		return ctx
	}
	h := newHiding(ctx, sc)
	return &h
}

// Value implements context.Context.
func (h *hiding) Value(key any) any {
	if key == spanKey && h.spawner.sc.IsValid() {
		return &h.spawner
	}
	return h.Context.Value(key)
}

// String keeps package fmt from reading the fields while they change.
func (h *hiding) String() string {
	if s, ok := h.Context.(fmt.Stringer); ok {
		return s.String() + ".otelmw"
	}
	return fmt.Sprintf("%T.otelmw", h.Context)
}

// A hiddenSpan is a SpanContext as the current span. All that it does is nothing.
type hiddenSpan struct {
	trace.Span // noSpan
	sc         trace.SpanContext
}

// SpanContext implements trace.Span.
func (s *hiddenSpan) SpanContext() trace.SpanContext { return s.sc }

// TracerProvider implements trace.Span. Libraries start their spans with it, and so it must hand on the SpanContext.
func (s *hiddenSpan) TracerProvider() trace.TracerProvider {
	if tp := s.Span.TracerProvider(); tp != plainProvider { // that of an eBPF agent which has attached itself to the process
		return tp
	}
	return tracenoop.NewTracerProvider() // plainProvider's tracers hand on what is of its own package alone
}

// What the trace package has for itself.
var (
	noSpan        = trace.SpanFromContext(context.Background())
	plainSpan     = reflect.TypeOf(trace.SpanFromContext(trace.ContextWithSpanContext(context.Background(), trace.SpanContext{})))
	plainProvider = trace.NewNoopTracerProvider() //nolint:staticcheck // deprecated, but what noSpan returns

	spanKey = learnSpanKey(trace.SpanFromContext)
)

// unknownKey is the key that nobody asks for, where the trace package's is not known.
type unknownKey struct{}

// learnSpanKey returns the key under which find looks for the current span.
func learnSpanKey(find func(context.Context) trace.Span) (key any) {
	key = unknownKey{}
	probe := keyProbe{Context: context.Background(), span: &hiddenSpan{Span: noSpan}, key: &key}
	if find(probe) != trace.Span(probe.span) {
		return unknownKey{}
	}
	return key
}

// keyProbe is a context that takes down what key it is asked for.
type keyProbe struct {
	context.Context
	span *hiddenSpan
	key  *any
}

func (p keyProbe) Value(key any) any {
	*p.key = key
	return p.span
}
