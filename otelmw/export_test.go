package otelmw

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// What only the tests look at.

// ForgetSpanKey leaves the trace package's key unknown, until restore is called.
func ForgetSpanKey() (restore func()) {
	known := spanKey
	spanKey = unknownKey{}
	return func() { spanKey = known }
}

// LearnsSpanKey reports whether the key can be learned from a package that finds the current span with find.
func LearnsSpanKey(find func(context.Context) trace.Span) bool {
	return learnSpanKey(find) != unknownKey{}
}

// HiddenSpan returns what stands for a span with sc, where the trace package's no-op is noop.
func HiddenSpan(noop trace.Span, sc trace.SpanContext) trace.Span {
	return &hiddenSpan{Span: noop, sc: sc}
}
