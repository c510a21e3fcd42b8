// Package screen draws what a program has traced and logged, so that an example can be looked at
// without any server. It is no part of afterspan: a service sends its spans and logs elsewhere.
package screen

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/examples/internal/tracelog"
)

// A View keeps spans and log lines in memory until they are drawn.
type View struct {
	// Exporter takes the spans.
	Exporter sdktrace.SpanExporter
	// Logger adds to each line the ids of the span in its context.
	Logger *slog.Logger
	// Omit is the name of tasks that are counted and not drawn, since there are too many. Empty is
	// none.
	Omit string

	spans, logs bytes.Buffer
}

// NewView returns an empty view.
func NewView() (v *View, err error) {
	v = new(View)
	v.Exporter, err = stdouttrace.New(stdouttrace.WithWriter(&v.spans))
	v.Logger = slog.New(tracelog.Handler{Handler: newScreenHandler(&v.logs)})
	return v, err
}

// Draw writes the traces and the log, if anything was logged. Call it when nothing is traced or
// logged any more.
func (v *View) Draw(out io.Writer) error {
	spans, err := readSpans(&v.spans)
	if err != nil {
		return err
	}
	spans, omitted := omit(spans, v.Omit)
	_, err = fmt.Fprint(out, tracesText(spans), omitted)
	if err == nil && v.logs.Len() > 0 {
		_, err = fmt.Fprint(out, "\n", logsText(v.logs.String()))
	}
	return err
}
