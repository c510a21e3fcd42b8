package main

import (
	"fmt"
	"io"
	"slices"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
)

func printTitle(out io.Writer) {
	fmt.Fprintln(out, "The subscriber's process: what arrived, the span that handled it, and the task that published it.")
}

func printEvent(out io.Writer, e publisher.Event, handled trace.SpanContext) {
	fmt.Fprintf(out, "   #%d %-15s %-6s %-6s  %s  ← %s\n",
		e.Sequence, e.Kind, e.Type, e.NodeName, where(handled), where(e.SpanContext()))
}

// published returns the spans of the tasks that published.
func published(spans *tracetest.InMemoryExporter) tracetest.SpanStubs {
	return slices.DeleteFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name != "publish_event" })
}

func printTasks(out io.Writer, spans tracetest.SpanStubs) {
	fmt.Fprintln(out, "\nThe agent's process: the tasks that published, and the trace of the agent that each links to.")
	for _, s := range spans {
		fmt.Fprintf(out, "   %s  %s  ← trace %s\n", s.Name, where(s.SpanContext), short(s.Links[0].SpanContext.TraceID().String()))
	}
}

// where returns the short ids of a span.
func where(s trace.SpanContext) string {
	return fmt.Sprintf("trace %s span %s", short(s.TraceID().String()), short(s.SpanID().String()))
}

func short(id string) string { return id[:8] }
