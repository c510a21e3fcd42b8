package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/afterspan/afterspan/examples/internal/screen"
)

// report prints what the run has left behind.
func report(
	ctx context.Context, out io.Writer, view *screen.View, metrics sdkmetric.Reader, got []notification, stats closeStats,
) error {
	view.Omit = "publish_event" // there are many
	fmt.Fprintln(out)
	if err := view.Draw(out); err != nil {
		return err
	}
	counted, err := counters(ctx, metrics)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe metrics that a task has collected:\n   %s\n", strings.Join(counted, "\n   "))
	fmt.Fprintln(out, "\nWhat the webhook got:")
	for _, n := range got {
		fmt.Fprintf(out, "   from %s of %s: %.40q…\n", n.NodeName, n.ThreadID, n.Answer)
	}
	text, err := json.MarshalIndent(stats, "", "  ")
	fmt.Fprintf(out, "\nWhat the close of the graph returned:\n%s\n", text)
	return err
}

// counters returns what the agent has counted, one line each, such as `agentgraph.tool_calls{tool=read_doc} 2`.
func counters(ctx context.Context, metrics sdkmetric.Reader) ([]string, error) {
	var collected metricdata.ResourceMetrics
	if err := metrics.Collect(ctx, &collected); err != nil {
		return nil, err
	}
	var lines []string
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok || scope.Scope.Name != scopeName {
				continue
			}
			for _, point := range sum.DataPoints {
				key := point.Attributes.ToSlice()[0]
				lines = append(lines, fmt.Sprintf("%s{%s=%s} %d", m.Name, key.Key, key.Value.String(), point.Value))
			}
		}
	}
	slices.Sort(lines)
	return lines, nil
}
