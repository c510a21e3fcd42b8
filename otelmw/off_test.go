package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/attribute"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Where no span is made the context is the spawner's, as it would be without the middleware.

var (
	noTraces  = otelmw.WithTracerProvider(tracenoop.NewTracerProvider())
	noMetrics = otelmw.WithMeterProvider(metricnoop.NewMeterProvider())
	filtered  = otelmw.WithFilter(func(context.Context, *core.Task) bool { return false })
)

// An otelhttp client in such a task starts its span with the provider of the current one, and under it.
func TestTaskWithoutASpanHasTheSpawners(t *testing.T) {
	for name, opts := range map[string][]otelmw.Option{
		"no-op":           {noTraces, noMetrics},
		"metrics only":    {noTraces},
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
				assert.Equal(t, agent, trace.SpanFromContext(ctx))
				_, get := trace.SpanFromContext(ctx).TracerProvider().Tracer("http").Start(ctx, "GET")
				get.End()
				return nil
			})
			assert.NoError(t, m.Wait(t.Context()))
			agent.End()
			assert.ElementsMatch(t, []string{"GET", "agent"}, tel.names())
			assert.Equal(t, agent.SpanContext(), tel.span(t, "GET").Parent())
		})
	}
}

// The Spawn of a later middleware is called while the spawner's span is live, and may write to it.
func TestLaterSpawnsSeeTheSpawnersLiveSpan(t *testing.T) {
	for name, opts := range map[string][]otelmw.Option{
		"traced": nil, "metrics only": {noTraces}, "filtered": {filtered}, "no-op": {noTraces, noMetrics},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			ctx, agent := tel.start("agent")
			m := newManager(core.WithMiddleware(tel.middleware(opts...),
				spawnFunc(func(ctx context.Context, _ *core.Task) context.Context {
					trace.SpanFromContext(ctx).AddEvent("task started")
					return ctx
				})))
			m.Go(ctx, "job", succeed)
			agent.End()
			tel.wait(t, m)
			assert.Len(t, tel.span(t, "agent").Events(), 1)
		})
	}
}

// A no-op of another type cannot be told from a tracer before it has been asked. It makes no span either.
func TestTracersThatMakeNoSpansLeaveTheContextAlone(t *testing.T) {
	for name, tp := range map[string]trace.TracerProvider{
		"deprecated":         trace.NewNoopTracerProvider(),              //nolint:staticcheck // it is still in use
		"of the service":     wrapped{tp: trace.NewNoopTracerProvider()}, //nolint:staticcheck // it is still in use
		"of trace/noop, too": wrapped{tp: tracenoop.NewTracerProvider()},
	} {
		for _, relation := range []otelmw.Relation{otelmw.Link, otelmw.Child, otelmw.None} {
			inBubble(t, name+", "+relation.String(), func(t *testing.T) {
				tel := newTelemetry(t)
				m := tel.manager(otelmw.WithTracerProvider(tp), otelmw.WithRelation(relation))
				ctx, agent := tel.start("agent")
				m.Go(ctx, "job", func(ctx context.Context) error {
					assert.Equal(t, agent, trace.SpanFromContext(ctx))
					return nil
				})
				agent.End()
				tel.wait(t, m)
			})
		}
	}
}

// wrapped is a provider of another type.
type wrapped struct {
	embedded.TracerProvider
	tp trace.TracerProvider
}

func (w wrapped) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return w.tp.Tracer(name, opts...)
}

// What is remote stays so: samplers tell the two apart.
func TestTaskWithoutASpanHasARemoteSpanContextUnchanged(t *testing.T) {
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
			otelmw.WithSpanNameFormatter(func(context.Context, *core.Task) string { assert.Fail(t, "WithSpanNameFormatter"); return "" }),
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
