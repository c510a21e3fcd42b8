package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
)

// showTree collects what stdouttrace writes, and prints it as trees once everything has ended.
func showTree(ctx context.Context, o options, stdout io.Writer) error {
	var written, logs bytes.Buffer
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(&written))
	if err != nil {
		return err
	}
	stats, err := answerQuestion(ctx, o, newTracerProvider(exporter), newScreenHandler(&logs), stdout)
	if err != nil {
		return err
	}
	spans, err := readSpans(&written)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "\n%s\n%s\n%s", tracesText(spans), logsText(logs.String()), statsText(stats))
	return err
}

// showRaw leaves stdout to stdouttrace, so that it can be piped into another program.
func showRaw(ctx context.Context, o options, stdout, stderr io.Writer) error {
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(stdout), stdouttrace.WithPrettyPrint())
	if err != nil {
		return err
	}
	var logs bytes.Buffer // tasks log while the answer is printed, and not every stderr is safe for that
	stats, err := answerQuestion(ctx, o, newTracerProvider(exporter), slog.NewJSONHandler(&logs, nil), stderr)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "\n%s\n%s", &logs, statsText(stats))
	return err
}
