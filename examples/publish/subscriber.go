package main

import (
	"context"
	"fmt"
	"io"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
)

// subscribe prints each event as it arrives, until the agent's last, and handles it in a span that links to the task that published it.
func subscribe(ctx context.Context, b *broker, out io.Writer) error {
	tp := sdktrace.NewTracerProvider() // in a service: with an exporter, to Jaeger
	defer func() { _ = tp.Shutdown(context.WithoutCancel(ctx)) }()
	tracer := tp.Tracer(scopeName)
	fmt.Fprintln(out, "The subscriber's process: what arrived, the span that handled it, and the task that published it.")
	return b.receive(ctx, func(e publisher.Event) bool {
		_, span := tracer.Start(ctx, "handle "+string(e.Kind),
			trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithLinks(trace.Link{SpanContext: e.SpanContext()}))
		defer span.End()
		fmt.Fprintf(out, "   #%d %-15s %-6s %-6s  %s  ← %s\n",
			e.Sequence, e.Kind, e.Type, e.NodeName, where(span.SpanContext()), where(e.SpanContext()))
		return e.Kind != publisher.KindGraphExecution || e.Type != publisher.TypeEnd
	})
}
