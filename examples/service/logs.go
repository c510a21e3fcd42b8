package main

import (
	"io"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/log"

	"github.com/afterspan/afterspan/examples/internal/tracelog"
)

const scopeName = "github.com/afterspan/afterspan/examples/service"

// newLines returns a handler that writes lines of JSON.
func newLines(w io.Writer) slog.Handler {
	return tracelog.Handler{Handler: slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: durationsInWords})}
}

// newLogger returns a logger that writes lines, and sends the same by OTLP. Both know the span of the context that a line is
// logged with. The manager logs a task with that task's context, and so its lines lead to the task's trace.
func newLogger(lines slog.Handler, logs log.LoggerProvider) *slog.Logger {
	return slog.New(slog.NewMultiHandler(lines, otelslog.NewHandler(scopeName, otelslog.WithLoggerProvider(logs))))
}

// durationsInWords writes 1.5s, where JSON would have 1500000000.
func durationsInWords(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}
