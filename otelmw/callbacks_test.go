package otelmw_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// A panic in a callback is told to otel.Handle, and the task goes on without what the callback would have given.
func TestCallbackThatPanics(t *testing.T) {
	plain := map[string]any{"thread_id": "t-1"}
	for name, test := range map[string]struct {
		opt  otelmw.Option
		want map[string]any
		told int
	}{
		"WithRelationFunc": {
			otelmw.WithRelationFunc(func(context.Context, *core.Task) otelmw.Relation { panic("boom") }), plain, 1,
		},
		"WithSpanNameFormatter": {
			otelmw.WithSpanNameFormatter(func(context.Context, *core.Task) string { panic("boom") }), plain, 1,
		},
		"WithAttributesFunc": {
			otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue { panic("boom") }), plain, 1,
		},
		"WithMetricAttributesFunc": {
			otelmw.WithMetricAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue { panic("boom") }), plain, 1,
		},
		"WithReplaceAttr": {
			otelmw.WithReplaceAttr(func(slog.Attr) slog.Attr { panic("boom") }), map[string]any{}, 1,
		},
		"WithFilter": {
			otelmw.WithFilter(func(context.Context, *core.Task) bool { panic("boom") }), plain, 1, // recorded, as without it
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(otelmw.WithAttributes(attribute.String("region", "eu")), test.opt)
			ctx, agent := tel.start("agent")
			task := m.Go(ctx, "job", succeed, core.WithAttrs(slog.String("thread_id", "t-1")))
			agent.End()
			tel.wait(t, m)
			assert.NoError(t, task.Err())
			require.ElementsMatch(t, []string{"agent", "spawn job", "job"}, tel.names())
			job := tel.span(t, "job")
			got := withoutSpawner(foreign(t, job))
			assert.Equal(t, "eu", got["region"])
			assert.Equal(t, test.want, without(got, "region"))
			require.Len(t, linked(t, job), 1)
			assert.EqualValues(t, 1, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Count)
			assert.EqualValues(t, 1, tel.histogram(t, "afterspan.task.queue.duration").DataPoints[0].Count)
			assert.Zero(t, tel.active(t))

			errs := handled.take()
			assert.Len(t, errs, test.told)
			for _, err := range errs {
				assert.Equal(t, fmt.Sprintf("otelmw: the callback of %s: panic: boom", name), err)
			}
		})
	}
}

// The relation that WithRelation asks for stands where the callback gives none.
func TestRelationWhereTheCallbackPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithRelation(otelmw.Child),
			otelmw.WithRelationFunc(func(context.Context, *core.Task) otelmw.Relation { panic("boom") }))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, agent.SpanContext(), tel.span(t, "job").Parent())
		assert.Len(t, handled.take(), 1)
	})
}

// A description that fails is none: the error's own text is what it was to keep out.
func TestErrorDescriptionThatPanicsIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, func(context.Context) error { panic("hunter2") },
			[]otelmw.Option{otelmw.WithErrorDescription(func(error) string { panic("boom") })})
		assertStatus(t, job, "")
		require.Len(t, job.Events(), 1)
		assert.Empty(t, values(t, job.Events()[0].Attributes)["exception.message"])
		assert.NotContains(t, everythingOf(job), "hunter2")
		assert.Equal(t, "panic", values(t, job.Attributes())["error.type"])
		assert.Equal(t, []string{"otelmw: the text of an error: panic: boom"}, handled.take())
	})
}

// The context that a task was started with may be the service's own code.
func TestContextThatPanics(t *testing.T) {
	for name, opts := range map[string][]otelmw.Option{
		"traced": nil, "metrics only": {noTraces}, "filtered": {filtered}, "baggage": {otelmw.WithBaggageKeys("tenant")},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(opts...)
			task := m.Go(brokenContext{context.Background()}, "job", succeed)
			require.NoError(t, m.Wait(t.Context()))
			assert.NoError(t, task.Err())
			assert.Equal(t, core.Completed, task.Outcome())
			assert.NotEmpty(t, handled.take())
		})
	}
}

// brokenContext has no values that could be read.
type brokenContext struct{ context.Context }

func (brokenContext) Value(any) any { panic("no values") }

// The value of a panic may be anything, also one that panics when it is printed.
func TestCallbackThatPanicsWithAValueThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		tel.job(t, succeed, []otelmw.Option{
			otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue { panic((*nilError)(nil)) }),
		})
		assert.Len(t, handled.take(), 1)
	})
}

// The error handler is the user's, too.
func TestErrorHandlerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { panic("no connection") }))
		t.Cleanup(func() { otel.SetErrorHandler(&handled) })
		m := tel.manager(otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue { panic("boom") }))
		task := m.Go(context.Background(), "job", succeed)
		tel.wait(t, m)
		assert.NoError(t, task.Err())
		tel.span(t, "job")
	})
}

// A callback that ends the goroutine, as t.FailNow does, ends the task. What was begun by then is ended, too.
func TestCallbackThatCallsGoexit(t *testing.T) {
	for name, opt := range map[string]otelmw.Option{
		"WithAttributesFunc": otelmw.WithAttributesFunc(
			func(context.Context, *core.Task) []attribute.KeyValue { runtime.Goexit(); return nil }),
		"WithMetricAttributesFunc": otelmw.WithMetricAttributesFunc(
			func(context.Context, *core.Task) []attribute.KeyValue { runtime.Goexit(); return nil }),
		"WithErrorDescription": otelmw.WithErrorDescription(func(error) string { runtime.Goexit(); return "" }),
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(opt)
			ctx, agent := tel.start("agent")
			task := m.Go(ctx, "job", fail)
			agent.End()
			tel.wait(t, m)
			assert.ErrorIs(t, task.Err(), core.ErrGoexit)
			assert.Zero(t, tel.active(t))
		})
	}
}
