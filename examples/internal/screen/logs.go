package screen

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// traceHandler adds to each record the ids of the span in its context. The manager logs a task with that
// task's own context, so its lines lead to the task's trace.
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

// newScreenHandler returns a handler that writes text which fits a screen.
func newScreenHandler(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: forScreen})
}

// forScreen leaves out and shortens what is in full in a log for machines.
func forScreen(groups []string, attr slog.Attr) slog.Attr {
	switch {
	case attr.Value.Kind() == slog.KindDuration:
		attr.Value = slog.StringValue(inWords(attr.Value.Duration()))
	case len(groups) > 0:
	case attr.Key == slog.TimeKey:
		return slog.Attr{}
	case attr.Key == "stack":
		attr.Value = slog.StringValue(panicSite(attr.Value.String()))
	case attr.Key == "trace_id", attr.Key == "span_id":
		attr.Value = slog.StringValue(shortID(attr.Value.String()))
	}
	return attr
}
