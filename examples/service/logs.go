package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

const scopeName = "github.com/afterspan/afterspan/examples/service"

// newLines returns a handler that writes lines of JSON.
func newLines(w io.Writer) slog.Handler {
	return traceHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: durationsInWords})}
}

// newLogger returns a logger that writes lines, and sends the same by OTLP. Both know the span of the context that a line is
// logged with. The manager logs a task with that task's context, and so its lines lead to the task's trace.
func newLogger(lines slog.Handler, logs log.LoggerProvider) *slog.Logger {
	return slog.New(both{lines, otelslog.NewHandler(scopeName, otelslog.WithLoggerProvider(logs))})
}

// durationsInWords writes 1.5s, where JSON would have 1500000000.
func durationsInWords(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// traceHandler adds to each record the ids of the span in its context.
type traceHandler struct{ slog.Handler }

func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}

// both hands each record to two handlers. From Go 1.26 on slog.NewMultiHandler does that.
type both [2]slog.Handler

func (h both) Enabled(ctx context.Context, level slog.Level) bool {
	return h[0].Enabled(ctx, level) || h[1].Enabled(ctx, level)
}

func (h both) Handle(ctx context.Context, r slog.Record) error {
	var errs [len(h)]error
	for i, one := range h {
		if one.Enabled(ctx, r.Level) {
			errs[i] = one.Handle(ctx, r.Clone())
		}
	}
	return errors.Join(errs[:]...)
}

func (h both) WithAttrs(attrs []slog.Attr) slog.Handler {
	return both{h[0].WithAttrs(attrs), h[1].WithAttrs(attrs)}
}

func (h both) WithGroup(name string) slog.Handler {
	return both{h[0].WithGroup(name), h[1].WithGroup(name)}
}
