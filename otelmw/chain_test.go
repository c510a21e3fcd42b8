package otelmw_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Where the middleware stands in the chain, and with whom.

// Two destinations, such as a company's and a team's: each gets the whole of its own.
func TestTwoInstancesInOneChainDoNotMeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newTelemetry(t), newTelemetry(t)
		m := newManager(core.WithMiddleware(one.middleware(), two.middleware()))
		ctx, agent := one.start("agent")
		m.Go(ctx, "job", func(ctx context.Context) error {
			sc := trace.SpanContextFromContext(ctx)
			assert.True(t, slices.ContainsFunc(two.recorder.Started(), func(s sdktrace.ReadWriteSpan) bool {
				return s.Name() == "job" && s.SpanContext().Equal(sc)
			}), "the inner one's")
			return errTask
		})
		agent.End()
		one.wait(t, m)
		two.requireAllEnded(t)
		require.ElementsMatch(t, []string{"agent", "spawn job", "job"}, one.names())
		require.ElementsMatch(t, []string{"spawn job", "job"}, two.names(), "its Spawn sees the live spawner, too")
		for _, tel := range []*telemetry{one, two} {
			job := tel.span(t, "job")
			requireRoot(t, job)
			require.Len(t, job.Links(), 1)
			assert.Equal(t, "failed", values(t, job.Attributes())["afterspan.task.outcome"])
			assert.NotContains(t, values(t, job.Attributes()), "afterspan.task.attempt")
			assert.Equal(t, agent.SpanContext().SpanID().String(), values(t, job.Attributes())["afterspan.spawner.span_id"])
			assert.EqualValues(t, 1, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Count)
		}
		for _, tel := range []*telemetry{one, two} {
			assert.Equal(t, []trace.SpanContext{tel.span(t, "spawn job").SpanContext()}, linked(t, tel.span(t, "job")))
			assert.Equal(t, agent.SpanContext(), tel.span(t, "spawn job").Parent())
		}
	})
}

// The two of one chain may differ in all that can be set.
func TestTwoInstancesInOneChainHaveTheirOwnOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newTelemetry(t), newTelemetry(t)
		m := newManager(core.WithMiddleware(
			one.middleware(otelmw.WithFilter(func(context.Context, *core.Task) bool { return false })),
			two.middleware(otelmw.WithRelation(otelmw.Child))))
		ctx, agent := one.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		one.wait(t, m)
		assert.Equal(t, []string{"agent"}, one.names())
		assert.Equal(t, agent.SpanContext(), two.span(t, "job").Parent())
	})
}

func TestOneInstanceServesSeveralManagers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		mw := tel.middleware()
		mail, audit := newManager(core.WithMiddleware(mw)), newManager(core.WithMiddleware(mw))
		ctx, agent := tel.start("agent")
		mail.Go(ctx, "mail", func(ctx context.Context) error {
			audit.Go(ctx, "audit", succeed) // from one into the other
			return nil
		})
		agent.End()
		require.NoError(t, mail.Wait(t.Context()))
		tel.wait(t, audit)
		require.ElementsMatch(t, []string{"agent", "spawn mail", "mail", "spawn audit", "audit"}, tel.names())
		assert.Equal(t, tel.span(t, "mail").SpanContext(), tel.span(t, "spawn audit").Parent())
		assert.Equal(t, []trace.SpanContext{tel.span(t, "spawn audit").SpanContext()}, linked(t, tel.span(t, "audit")))
		assert.Len(t, tel.histogram(t, "afterspan.task.duration").DataPoints, 2)
	})
}

// A circuit breaker further in may not call the task at all. The run is recorded with what it returns.
func TestCircuitBreakerInsideIsAFailedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		errOpen := errors.New("circuit open")
		breaker := around(func(context.Context, *core.Task, core.Handler) error { return errOpen })
		m := newManager(core.WithMiddleware(tel.middleware(), breaker))
		ctx, agent := tel.start("agent")
		task := m.Go(ctx, "job", func(context.Context) error { assert.Fail(t, "not called"); return nil })
		agent.End()
		tel.wait(t, m)
		assert.ErrorIs(t, task.Err(), errOpen)
		require.ElementsMatch(t, []string{"agent", "spawn job", "job"}, tel.names())
		assertStatus(t, tel.span(t, "job"), "circuit open")
		assert.Equal(t, "failed", values(t, tel.span(t, "job").Attributes())["afterspan.task.outcome"])
	})
}

// What a middleware further in makes of an error is what is recorded.
func TestMiddlewareInsideThatSwallowsAnErrorMakesTheRunCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		swallow := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			_ = next(ctx, task)
			return nil
		})
		m := newManager(core.WithMiddleware(tel.middleware(), swallow))
		m.Go(context.Background(), "job", fail)
		tel.wait(t, m)
		assert.Equal(t, "completed", values(t, tel.span(t, "job").Attributes())["afterspan.task.outcome"])
	})
}

// A Spawn further in panics: the task is not called, the chain is, so that the span "spawn NAME" ends. Once.
func TestPanicOfALaterSpawnEndsTheSpawnSpan(t *testing.T) {
	for name, broken := range map[string]func(context.Context, *core.Task) context.Context{
		"panic":       func(context.Context, *core.Task) context.Context { panic("no connection") },
		"nil context": func(context.Context, *core.Task) context.Context { return nil },
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := newManager(core.WithMiddleware(tel.middleware(), spawnFunc(broken)))
			ctx, agent := tel.start("agent")
			task := m.Go(ctx, "job", func(context.Context) error { assert.Fail(t, "not called"); return nil })
			agent.End()
			tel.wait(t, m)
			assert.Equal(t, core.Failed, task.Outcome())
			require.ElementsMatch(t, []string{"agent", "spawn job", "job"}, tel.names())
			assert.Equal(t, []trace.SpanContext{tel.span(t, "job").SpanContext()}, linked(t, tel.span(t, "spawn job")))
			assert.Equal(t, "panic", values(t, tel.span(t, "job").Attributes())["error.type"])
		})
	}
}

// A Spawn outside panics before this one is called. The run is recorded all the same.
func TestPanicOfAnEarlierSpawnIsAFailedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		broken := spawnFunc(func(context.Context, *core.Task) context.Context { panic("no connection") })
		m := newManager(core.WithMiddleware(broken, tel.middleware()))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"agent", "job"}, tel.names())
		assert.Equal(t, []trace.SpanContext{agent.SpanContext()}, linked(t, tel.span(t, "job")))
		assert.Equal(t, "panic", values(t, tel.span(t, "job").Attributes())["error.type"])
	})
}
