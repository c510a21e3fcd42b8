package main

import (
	"context"
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
)

// newFxLogger logs of fx only what goes wrong.
func newFxLogger(l *slog.Logger) fxevent.Logger {
	events := &fxevent.SlogLogger{Logger: l}
	events.UseLogLevel(slog.LevelDebug)
	return events
}

// newTracerProvider returns a provider that exports in batches, as in production: what is not flushed by its Shutdown is
// lost, and so are spans that end after it.
func newTracerProvider(lc fx.Lifecycle, exporter sdktrace.SpanExporter) trace.TracerProvider {
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	lc.Append(fx.Hook{OnStop: tp.Shutdown})
	return tp
}

// logExporter logs spans. In a service an OTLP exporter is in its place.
type logExporter struct{ logger *slog.Logger }

func newExporter(l *slog.Logger) sdktrace.SpanExporter { return logExporter{l} }

// ExportSpans implements sdktrace.SpanExporter.
func (e logExporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, span := range spans {
		line := e.logger.With("name", span.Name(), "trace", span.SpanContext().TraceID())
		for _, link := range span.Links() {
			line = line.With("linked_to", link.SpanContext.TraceID())
		}
		line.Info("span")
	}
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (e logExporter) Shutdown(context.Context) error {
	e.logger.Info("exporter stopped")
	return nil
}
