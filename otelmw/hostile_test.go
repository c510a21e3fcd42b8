package otelmw_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
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

// Values, callbacks and tracers that could harm the task, or the request.

// selfContaining returns a value whose text has no end.
func selfContaining() any {
	v := map[string]any{}
	v["self"] = v
	return v
}

// exits is an attribute that ends the goroutine of whoever resolves it.
type exits struct{}

func (exits) LogValue() slog.Value { runtime.Goexit(); return slog.Value{} }

func TestValueThatContainsItselfEndsNoProcess(t *testing.T) {
	tel := newTelemetry(t)
	m := tel.manager(otelmw.WithFilter(func(_ context.Context, t *core.Task) bool {
		if t.Name() == "filtered" {
			panic(selfContaining())
		}
		return true
	}))
	m.Go(t.Context(), "filtered", succeed)
	m.Go(t.Context(), "job", succeed, core.WithAttrs(slog.Any("state", selfContaining()), slog.Any("order", struct{ ID int }{7})))
	tel.wait(t, m)
	require.Equal(t, []string{"otelmw: the callback of WithFilter: panic: map[string]interface {}"}, handled.take())
	attrs := values(t, tel.span(t, "job").Attributes())
	assert.Equal(t, "map[string]interface {}", attrs["state"])
	assert.Equal(t, `{"ID":7}`, attrs["order"])
}

func TestGoexitInACallbackSpoilsNoFigure(t *testing.T) {
	for name, test := range map[string]struct {
		opts []otelmw.Option
		task []core.TaskOption
	}{
		"in WithAttributesFunc": {opts: []otelmw.Option{
			otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue { runtime.Goexit(); return nil }),
		}},
		"in a LogValuer": {task: []core.TaskOption{core.WithAttrs(slog.Any("x", exits{}))}},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(test.opts...)
			m.Go(t.Context(), "job", succeed, test.task...)
			require.NoError(t, m.Wait(t.Context()))
			assert.Zero(t, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Sum)
			assert.EqualValues(t, 1, tel.histogram(t, "afterspan.task.queue.duration").DataPoints[0].Count)
		})
	}
	inBubble(t, "in WithErrorDescription", func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithErrorDescription(func(error) string { runtime.Goexit(); return "" }))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", fail)
		agent.End()
		tel.wait(t, m)
		for _, span := range []string{"job", "spawn job"} {
			assert.Equal(t, "failed", values(t, tel.span(t, span).Attributes())["afterspan.task.outcome"], span)
		}
	})
}

type quotaExceeded struct{}

func (quotaExceeded) Error() string     { return "quota" }
func (quotaExceeded) ErrorType() string { return "quota_exceeded" }

func TestErrorTypeBesideThePanicOfAnotherTask(t *testing.T) {
	tel := newTelemetry(t)
	m := tel.manager()
	m.Go(t.Context(), "job", func(ctx context.Context) error {
		other := m.Go(ctx, "other", func(context.Context) error { panic("boom") }).Wait(ctx)
		return errors.Join(other, quotaExceeded{})
	})
	tel.wait(t, m)
	assert.Equal(t, "quota_exceeded", values(t, tel.span(t, "job").Attributes())["error.type"])
}

func TestALimitOnAttributesDoesNotCostTheOutcome(t *testing.T) {
	for _, limit := range []string{"1", "3", "10"} {
		t.Run(limit, func(t *testing.T) {
			t.Setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", limit)
			tel := newTelemetry(t)
			m := tel.manager()
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", fail, core.WithTimeout(time.Minute), core.WithAttrs(slog.Int("a", 1), slog.Int("b", 2), slog.Int("c", 3)))
			agent.End()
			tel.wait(t, m)
			for _, span := range []string{"job", "spawn job"} {
				assert.Equal(t, "failed", values(t, tel.span(t, span).Attributes())["afterspan.task.outcome"], span)
			}
		})
	}
}

// leavingOut is a provider whose tracers make no span of one name: they return the current one.
type leavingOut struct {
	trace.TracerProvider
	name string
}

type leavingOutTracer struct {
	trace.Tracer
	name string
}

func (p leavingOut) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return leavingOutTracer{p.TracerProvider.Tracer(name, opts...), p.name}
}

func (t leavingOutTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	if name == t.name {
		return ctx, trace.SpanFromContext(ctx)
	}
	return t.Tracer.Start(ctx, name, opts...)
}

func TestSpanOfTheRequestIsNotTakenForTheTasks(t *testing.T) {
	for _, name := range []string{"spawn job", "job"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel := newTelemetry(t)
				m := newManager(core.WithMiddleware(otelmw.New(noMetrics, otelmw.WithTracerProvider(leavingOut{tel.traces, name}))))
				ctx, agent := tel.start("agent")
				require.Error(t, m.Go(ctx, "job", fail).Wait(t.Context()))
				assert.True(t, agent.IsRecording(), "the request goes on")
				agent.End()
				assert.Empty(t, tel.span(t, "agent").Attributes())
			})
		})
	}
}
