package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// quiet drops the lines of River and of the manager: the spans tell the story here.
var quiet = slog.New(slog.DiscardHandler)

// newTracerProvider returns a provider that prints spans, and sends them to a collector if there is
// one.
func newTracerProvider(ctx context.Context, out io.Writer) (*sdktrace.TracerProvider, error) {
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithSyncer(printer{out}),
		sdktrace.WithResource(resource.NewSchemaless(semconv.ServiceName("orders"))),
	}
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, err
		}
		opts = append(opts, sdktrace.WithBatcher(exporter))
	}
	return sdktrace.NewTracerProvider(opts...), nil
}

// flush hands over the last spans.
func flush(tp *sdktrace.TracerProvider) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = tp.Shutdown(ctx) // a collector that is gone is no failure of the example
}

// printer is an exporter that prints a line for each span.
type printer struct{ out io.Writer }

// ExportSpans implements sdktrace.SpanExporter.
func (p printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, span := range spans {
		fmt.Fprintln(p.out, line(span))
	}
	return nil
}

// line returns what happened, where, and what a task's own span links to.
func line(span sdktrace.ReadOnlySpan) string {
	a := attributes(span)
	outcome := a["afterspan.task.outcome"]
	if a["afterspan.task.handed_over"] == "true" {
		outcome = "handed over"
	}
	attempt := ""
	if n, ok := a["afterspan.task.attempt"]; ok {
		attempt = " attempt " + n
	}
	link := ""
	if a["afterspan.spawner.span_id"] != "" {
		link = "  ← " + place(span.Links()[0].SpanContext)
	}
	return fmt.Sprintf("%-18s %-11s%s  %s%s  %s", span.Name(), outcome, attempt, place(span.SpanContext()), link, a["order_id"])
}

func place(sc trace.SpanContext) string {
	return "trace " + short(sc.TraceID()) + " span " + short(sc.SpanID())
}

// Shutdown implements sdktrace.SpanExporter.
func (printer) Shutdown(context.Context) error { return nil }

func attributes(span sdktrace.ReadOnlySpan) map[string]string {
	all := make(map[string]string)
	for _, a := range span.Attributes() {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// short returns the end of an id, which is enough to tell a few.
func short(id fmt.Stringer) string {
	s := id.String()
	return s[len(s)-6:]
}
