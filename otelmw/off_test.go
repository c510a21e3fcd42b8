package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/attribute"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Without a span of its own, a task carries the spawner's SpanContext: its logs, and the spans of the
// libraries that it calls, stay in that trace.

var (
	noTraces  = otelmw.WithTracerProvider(tracenoop.NewTracerProvider())
	noMetrics = otelmw.WithMeterProvider(metricnoop.NewMeterProvider())
	filtered  = otelmw.WithFilter(func(context.Context, *core.Task) bool { return false })
)

// It is never the spawner's span itself. That one ends any time, and what is written to it then is lost without a
// word; while it lives, what the task writes there would be said of the request.
func TestTaskWithoutASpanCarriesTheSpawnersSpanContext(t *testing.T) {
	for name, opts := range map[string][]otelmw.Option{
		"no-op":           {noTraces, noMetrics},
		"no-op traces":    {noTraces},
		"filtered":        {filtered},
		"filtered no-op":  {noTraces, noMetrics, filtered},
		"child of no-op":  {noTraces, otelmw.WithRelation(otelmw.Child)},
		"child, filtered": {filtered, otelmw.WithRelation(otelmw.Child)},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(opts...)
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", func(ctx context.Context) error {
				assert.Equal(t, agent.SpanContext(), trace.SpanContextFromContext(ctx))
				span := trace.SpanFromContext(ctx)
				assert.NotEqual(t, agent, span)
				assert.False(t, span.IsRecording())
				span.SetAttributes(attribute.Bool("of_the_task", true))
				span.End()
				_, query := tel.startIn(ctx, "query")
				query.End()
				return nil
			})
			assert.NoError(t, m.Wait(t.Context()))
			assert.True(t, agent.IsRecording())
			agent.End()
			assert.ElementsMatch(t, []string{"query", "agent"}, tel.names())
			assert.Equal(t, agent.SpanContext(), tel.span(t, "query").Parent())
			assert.Empty(t, tel.span(t, "agent").Attributes())
		})
	}
}

// What is remote stays so: samplers tell the two apart.
func TestTaskWithoutASpanCarriesARemoteSpanContextUnchanged(t *testing.T) {
	for name, opt := range map[string]otelmw.Option{"no-op": noTraces, "filtered": filtered} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(opt)
			ctx, sc := remote(trace.FlagsSampled)
			m.Go(ctx, "job", func(ctx context.Context) error {
				assert.Equal(t, sc, trace.SpanContextFromContext(ctx))
				return nil
			})
			tel.wait(t, m)
		})
	}
}

// One of the two signals may be off.
func TestMetricsWithoutTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(noTraces)
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", fail)
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, []string{"agent"}, tel.names())
		name := attribute.String("afterspan.task.name", "job")
		assertMetrics(t, tel, queueDuration(point(0, 0, name)), active(0, "job"), duration(point(0, 0, name,
			attribute.String("afterspan.task.outcome", "failed"), attribute.String("error.type", plainError))))
	})
}

func TestTracesWithoutMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(noMetrics)
		m.Go(context.Background(), "job", fail)
		tel.wait(t, m)
		assert.Empty(t, tel.collect(t))
		assertStatus(t, tel.span(t, "job"), errTask.Error())
	})
}

// With nothing to record the callbacks are not asked: they may cost something.
func TestCallbacksAreNotAskedInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(noTraces, noMetrics,
			otelmw.WithFilter(func(context.Context, *core.Task) bool { assert.Fail(t, "WithFilter"); return true }),
			otelmw.WithRelationFunc(func(context.Context, *core.Task) otelmw.Relation {
				assert.Fail(t, "WithRelationFunc")
				return otelmw.Link
			}),
			otelmw.WithSpanNameFormatter(func(*core.Task) string { assert.Fail(t, "WithSpanNameFormatter"); return "" }),
			otelmw.WithErrorDescription(func(error) string { assert.Fail(t, "WithErrorDescription"); return "" }),
			otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue {
				assert.Fail(t, "WithAttributesFunc")
				return nil
			}),
			otelmw.WithMetricAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue {
				assert.Fail(t, "WithMetricAttributesFunc")
				return nil
			}))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", fail)
		agent.End()
		tel.wait(t, m)
	})
}
