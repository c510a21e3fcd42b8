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
	fmt.Fprintln(stdout)
	printTraces(stdout, spans)
	printLogs(stdout, logs.String())
	return printStats(stdout, stats)
}

// showRaw leaves stdout to stdouttrace, so that it can be piped into another program.
func showRaw(ctx context.Context, o options, stdout, stderr io.Writer) error {
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(stdout), stdouttrace.WithPrettyPrint())
	if err != nil {
		return err
	}
	stats, err := answerQuestion(ctx, o, newTracerProvider(exporter), slog.NewJSONHandler(stderr, nil), stderr)
	if err != nil {
		return err
	}
	return printStats(stderr, stats)
}
