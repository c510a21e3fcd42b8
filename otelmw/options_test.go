package otelmw_test

import (
	"context"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

func TestScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		scope := tel.job(t, succeed, nil).InstrumentationScope()
		assert.Equal(t, "github.com/afterspan/afterspan/otelmw", otelmw.ScopeName)
		assert.Equal(t, otelmw.ScopeName, scope.Name)
		assert.Equal(t, otelmw.Version, scope.Version)
		assert.Equal(t, "https://opentelemetry.io/schemas/1.43.0", scope.SchemaURL)
		assert.Regexp(t, regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`), otelmw.Version)
	})
}

// An option that is nil, or is given nil, leaves the default: configuration is often put together from parts
// that may not be there.
func TestNilLeavesTheDefault(t *testing.T) {
	for name, opt := range map[string]otelmw.Option{
		"Option":                   nil,
		"WithTracerProvider":       otelmw.WithTracerProvider(nil),
		"WithMeterProvider":        otelmw.WithMeterProvider(nil),
		"WithRelationFunc":         otelmw.WithRelationFunc(nil),
		"WithSpanNameFormatter":    otelmw.WithSpanNameFormatter(nil),
		"WithSpanStartOptions":     otelmw.WithSpanStartOptions(nil...),
		"WithSpanStartOptions one": otelmw.WithSpanStartOptions(trace.SpanStartOption(nil)),
		"WithAttributes":           otelmw.WithAttributes(nil...),
		"WithAttributes one":       otelmw.WithAttributes(attribute.KeyValue{}),
		"WithAttributesFunc":       otelmw.WithAttributesFunc(nil),
		"WithMetricAttributesFunc": otelmw.WithMetricAttributesFunc(nil),
		"WithReplaceAttr":          otelmw.WithReplaceAttr(nil),
		"WithFilter":               otelmw.WithFilter(nil),
		"WithErrorDescription":     otelmw.WithErrorDescription(nil),
		"WithBaggageKeys":          otelmw.WithBaggageKeys(nil...),
		"WithBaggageKeys one":      otelmw.WithBaggageKeys(""),
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(opt)
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", fail)
			agent.End()
			tel.wait(t, m)
			require.ElementsMatch(t, []string{"agent", "spawn job", "job"}, tel.names())
			job := tel.span(t, "job")
			assertStatus(t, job, errTask.Error())
			assert.Empty(t, without(withoutSpawner(foreign(t, job)), "error.type"))
			assert.EqualValues(t, 1, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Count)
		})
	}
}

// The names of spans are the service's to choose, for the sake of what its dashboards know already.
func TestSpanNameFormatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		asked := 0
		ctx, agent := tel.start("agent")
		m := tel.manager(otelmw.WithSpanNameFormatter(func(ctx context.Context, task *core.Task) string {
			asked++
			assert.Equal(t, agent, trace.SpanFromContext(ctx), "the spawner's live span")
			return "task/" + task.Name() + "\xff"
		}))
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"agent", "spawn task/job\uFFFD", "task/job\uFFFD"}, tel.names())
		assert.Equal(t, "job", values(t, tel.span(t, "task/job\uFFFD").Attributes())["afterspan.task.name"])
		assert.Equal(t, "job", values(t, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Attributes.ToSlice())["afterspan.task.name"],
			"the metrics keep the task's")
		assert.Equal(t, 1, asked, "once for both spans")
	})
}

// A span without a name cannot be found.
func TestSpanNameFormatterThatReturnsNothingLeavesTheTasksName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithSpanNameFormatter(func(context.Context, *core.Task) string { return "" }))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		assert.ElementsMatch(t, []string{"agent", "spawn job", "job"}, tel.names())
	})
}

func TestSpanStartOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		_, other := tel.start("other")
		other.End()
		m := tel.manager(
			otelmw.WithSpanStartOptions(trace.WithSpanKind(trace.SpanKindInternal)),
			otelmw.WithSpanStartOptions(trace.WithLinks(trace.Link{
				SpanContext: other.SpanContext(), Attributes: []attribute.KeyValue{attribute.String("afterspan.link.kind", "spawner")},
			})))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		job := tel.span(t, "job")
		assert.Equal(t, trace.SpanKindInternal, job.SpanKind())
		assert.Equal(t, []trace.SpanContext{other.SpanContext(), tel.span(t, "spawn job").SpanContext()}, linked(t, job))
		spawn := tel.span(t, "spawn job")
		assert.Equal(t, trace.SpanKindProducer, spawn.SpanKind(), "they are for the task's span")
		assert.Equal(t, []trace.SpanContext{job.SpanContext()}, linked(t, spawn))
	})
}

// A callback for attributes runs as the task's span starts, with the context of the run.
func TestAttributesFuncSeesTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		tel := newTelemetry(t)
		outside := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			return next(context.WithValue(ctx, key{}, "ada"), task)
		})
		m := newManager(core.WithLimit(1, -1), core.WithMiddleware(outside, tel.middleware(otelmw.WithAttributesFunc(
			func(ctx context.Context, task *core.Task) []attribute.KeyValue {
				return []attribute.KeyValue{
					attribute.String("user", ctx.Value(key{}).(string)),
					attribute.Bool("started", !task.StartedAt().IsZero()),
				}
			}), otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.String("user", "of the second callback"), attribute.Int("n", 2)}
		}))))
		m.Go(context.Background(), "blocker", func(context.Context) error { time.Sleep(time.Second); return nil })
		m.Go(context.Background(), "job", succeed)
		tel.wait(t, m)
		assert.Equal(t, map[string]any{"user": "ada", "started": true, "n": int64(2)}, foreign(t, tel.span(t, "job")))
	})
}

// Filters are asked as the task is spawned, with the spawner's context. All of them must agree.
func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		ctx, agent := tel.start("agent")
		asked := 0
		m := newManager(core.WithMiddleware(retry(2), tel.middleware(filterOut("heartbeat"), otelmw.WithFilter(
			func(ctx context.Context, task *core.Task) bool {
				asked++
				assert.Equal(t, agent, trace.SpanFromContext(ctx), "the spawner's live span")
				return task.Name() != "probe"
			}))))
		m.Go(ctx, "job", fail)
		assert.Equal(t, 1, asked, "before Go returns")
		m.Go(ctx, "heartbeat", fail)
		m.Go(ctx, "probe", fail)
		agent.End()
		tel.wait(t, m)
		assert.ElementsMatch(t, []string{"agent", "spawn job", "job", "job"}, tel.names())
		assert.Equal(t, 2, asked, "once for each task, not for each attempt, and not if another has said no")
	})
}

// Metric attributes are few and the service's own choice: what spans have is never taken over.
func TestMetricAttributesFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithMetricAttributesFunc(
			func(ctx context.Context, task *core.Task) []attribute.KeyValue {
				assert.Equal(t, tel.recorder.Started()[0].SpanContext(), trace.SpanContextFromContext(ctx))
				return []attribute.KeyValue{
					attribute.String("tier", "gold"), attribute.String("queue", task.Name()+"s"),
					attribute.String("afterspan.task.name", "forged"), attribute.String("afterspan.x", "forged"),
					attribute.String("error.type", "forged"),
					{},
				}
			}), otelmw.WithMetricAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.String("tier", "of the second callback"), attribute.Int("zone", 1)}
		}))
		m.Go(context.Background(), "job", fail)
		tel.wait(t, m)
		both := []attribute.KeyValue{
			attribute.String("afterspan.task.name", "job"),
			attribute.String("tier", "gold"), attribute.String("queue", "jobs"), attribute.Int("zone", 1),
		}
		assertMetrics(t, tel, active(0, "job"),
			queueDuration(point(0, 0, append(both, attribute.String("error.type", "forged"))...)),
			duration(point(0, 0, append(both, attribute.String("afterspan.task.outcome", "failed"),
				attribute.String("error.type", plainError))...)))
		assert.Empty(t, without(foreign(t, tel.span(t, "job")), "error.type"))
	})
}
