package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// telemetry keeps spans and metrics, to print them. In a service they go to a collector.
type telemetry struct {
	spans   *tracetest.InMemoryExporter
	tp      *sdktrace.TracerProvider
	metrics *sdkmetric.ManualReader
	mp      *sdkmetric.MeterProvider
}

func newTelemetry() *telemetry {
	t := &telemetry{spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader()}
	t.tp = sdktrace.NewTracerProvider(sdktrace.WithSyncer(t.spans))
	t.mp = sdkmetric.NewMeterProvider(sdkmetric.WithReader(t.metrics))
	return t
}

func (t *telemetry) shutdown(ctx context.Context) error {
	return errors.Join(t.tp.Shutdown(ctx), t.mp.Shutdown(ctx))
}

// counters returns what the agent has counted, one line each, such as `agentgraph.tool_calls{tool=read_doc} 2`.
func (t *telemetry) counters(ctx context.Context) ([]string, error) {
	var collected metricdata.ResourceMetrics
	if err := t.metrics.Collect(ctx, &collected); err != nil {
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

func printCounters(ctx context.Context, out io.Writer, t *telemetry) error {
	lines, err := t.counters(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "\nThe metrics that a task has collected:")
	for _, line := range lines {
		fmt.Fprintln(out, "  ", line)
	}
	return nil
}
