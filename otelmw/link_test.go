package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Link, the default: each side is one click from the other.

func TestLinkGoesBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "send_receipt", succeed)
		agent.End()
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"agent", "spawn send_receipt", "send_receipt"}, tel.names())
		spawn, task := tel.span(t, "spawn send_receipt"), tel.span(t, "send_receipt")

		assert.Equal(t, trace.SpanKindProducer, spawn.SpanKind())
		assert.Equal(t, agent.SpanContext(), spawn.Parent())
		assert.Equal(t, agent.SpanContext().TraceID(), spawn.SpanContext().TraceID())
		assert.Equal(t, []trace.SpanContext{task.SpanContext()}, linked(t, spawn))

		assert.Equal(t, trace.SpanKindConsumer, task.SpanKind())
		requireRoot(t, task)
		assert.NotEqual(t, agent.SpanContext().TraceID(), task.SpanContext().TraceID())
		assert.Equal(t, []trace.SpanContext{spawn.SpanContext()}, linked(t, task))
		assert.True(t, task.SpanContext().IsSampled())
	})
}

// The other way round a trace store has nothing but attributes to search by. They name the
// spawner, which the reader of its trace has before them, not the span "spawn".
func TestLinkLeavesSearchHandlesOnTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		defer agent.End()
		task := m.Go(ctx, "send_receipt", succeed)
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, map[string]any{
			"afterspan.task.name":        "send_receipt",
			"afterspan.task.id":          int64(task.ID()),
			"afterspan.task.queue_time":  0.0,
			"afterspan.task.outcome":     "completed",
			"afterspan.spawner.trace_id": agent.SpanContext().TraceID().String(),
			"afterspan.spawner.span_id":  agent.SpanContext().SpanID().String(),
			"afterspan.origin.trace_id":  agent.SpanContext().TraceID().String(),
		}, values(t, tel.span(t, "send_receipt").Attributes()))
		assert.Equal(t, map[string]any{
			"afterspan.task.name":    "send_receipt",
			"afterspan.task.id":      int64(task.ID()),
			"afterspan.task.outcome": "completed",
		}, values(t, tel.span(t, "spawn send_receipt").Attributes()))
	})
}

// The span "spawn NAME" is started before Go returns: the spawner's may end right after it.
func TestSpawnSpanStartsBeforeGoReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
		release := make(chan struct{})
		m.Go(context.Background(), "blocker", until(release))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "queued", succeed)
		started := tel.recorder.Started()
		assert.Equal(t, "spawn queued", started[len(started)-1].Name())
		agent.End()
		close(release)
		tel.wait(t, m)
	})
}

// Where there is no recording span to put a child under, the task links to the spawner itself. What it
// links to need not be sampled: a collector may keep the trace for other reasons.
func TestTaskLinksToASpawnerThatDoesNotRecord(t *testing.T) {
	for name, spawner := range map[string]func(*telemetry) (context.Context, trace.SpanContext){
		"unsampled":        func(*telemetry) (context.Context, trace.SpanContext) { return unsampled() },
		"remote":           func(*telemetry) (context.Context, trace.SpanContext) { return remote(trace.FlagsSampled) },
		"remote unsampled": func(*telemetry) (context.Context, trace.SpanContext) { return remote(0) },
		"ended before Go": func(tel *telemetry) (context.Context, trace.SpanContext) {
			ctx, span := tel.start("agent")
			span.End()
			return ctx, span.SpanContext()
		},
		"behind a SpanContext alone": func(tel *telemetry) (context.Context, trace.SpanContext) {
			_, span := tel.start("agent")
			span.End()
			return trace.ContextWithSpanContext(context.Background(), span.SpanContext()), span.SpanContext()
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager()
			ctx, sc := spawner(tel)
			m.Go(ctx, "job", succeed)
			tel.wait(t, m)
			assert.NotContains(t, tel.names(), "spawn job")
			task := tel.span(t, "job")
			requireRoot(t, task)
			assert.Equal(t, []trace.SpanContext{sc}, linked(t, task))
			assert.NotEqual(t, sc.TraceID(), task.SpanContext().TraceID())
			assert.Equal(t, spawnedBy(sc, sc), foreign(t, task))
		})
	}
}

// A sampler may drop "spawn NAME" though it kept the spawner. Nothing should lead to a span that is not there.
func TestTaskLinksToTheSpawnerIfTheSpawnSpanIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSampler(dropping("spawn job")))
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, []trace.SpanContext{agent.SpanContext()}, linked(t, tel.span(t, "job")))
	})
}

// A task that its sampler drops still ends the span "spawn NAME".
func TestSpawnSpanEndsThoughTheTaskIsNotSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSampler(dropping("job")))
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", func(ctx context.Context) error {
			inside := trace.SpanFromContext(ctx)
			assert.False(t, inside.IsRecording())
			assert.NotEqual(t, agent.SpanContext().TraceID(), inside.SpanContext().TraceID(), "it is no part of that trace")
			return errTask
		})
		agent.End()
		tel.wait(t, m)
		assert.ElementsMatch(t, []string{"agent", "spawn job"}, tel.names())
	})
}

// Without a valid span in the context there is nothing to link to. Half a SpanContext is not valid, and the
// SDK would keep a link to it if it had attributes.
func TestTaskWithoutASpawnerIsAPlainRoot(t *testing.T) {
	for name, sc := range map[string]trace.SpanContext{
		"no span":          {},
		"no span id":       trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}}),
		"no trace id":      trace.NewSpanContext(trace.SpanContextConfig{SpanID: trace.SpanID{1}}),
		"trace flags only": trace.NewSpanContext(trace.SpanContextConfig{TraceFlags: trace.FlagsSampled}),
	} {
		for _, relation := range []otelmw.Relation{otelmw.Link, otelmw.Child, otelmw.None} {
			inBubble(t, name+", "+relation.String(), func(t *testing.T) {
				all := dropping()
				tel := newTelemetry(t, sdktrace.WithSampler(all))
				m := tel.manager(otelmw.WithRelation(relation))
				m.Go(trace.ContextWithSpanContext(context.Background(), sc), "job", succeed)
				tel.wait(t, m)
				require.Equal(t, []string{"job"}, tel.names())
				task := tel.span(t, "job")
				assert.False(t, task.Parent().IsValid())
				if relation != otelmw.Child { // a child's trace id is up to the SDK, which takes over half of a SpanContext
					requireRoot(t, task)
					assert.NotEqual(t, sc.TraceID(), task.SpanContext().TraceID())
				}
				assert.Empty(t, task.Links())
				require.Len(t, all.of("job"), 1)
				assert.Empty(t, all.of("job")[0].Links, "a sampler that goes by links sees none either")
				assert.Empty(t, foreign(t, task))
			})
		}
	}
}

// A client library that the middleware outside uses may leave its span in the context of the run. The task is
// no part of that: a span is a root since it was asked for, not since none happened to be there.
func TestSpanOfAMiddlewareOutsideIsNotTheParent(t *testing.T) {
	for _, relation := range []otelmw.Relation{otelmw.Link, otelmw.Child, otelmw.None} {
		for _, spawned := range []bool{true, false} {
			name := relation.String()
			if !spawned {
				name += " without a spawner"
			}
			inBubble(t, name, func(t *testing.T) {
				tel := newTelemetry(t)
				outside := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
					ctx, span := tel.startIn(ctx, "ambient")
					defer span.End()
					return next(ctx, task)
				})
				m := newManager(core.WithMiddleware(outside, tel.middleware(otelmw.WithRelation(relation))))
				ctx, agent := tel.start("agent")
				want := agent.SpanContext()
				if !spawned {
					ctx, want = context.Background(), trace.SpanContext{}
				}
				m.Go(ctx, "job", succeed)
				agent.End()
				tel.wait(t, m)

				task := tel.span(t, "job")
				if relation == otelmw.Child && spawned {
					assert.Equal(t, want, task.Parent())
				} else {
					requireRoot(t, task)
				}
				if relation == otelmw.Link && spawned {
					assert.Equal(t, []trace.SpanContext{tel.span(t, "spawn job").SpanContext()}, linked(t, task))
				} else {
					assert.Empty(t, task.Links())
				}
			})
		}
	}
}

// WithoutSpawnSpan leaves one span less in the spawner's trace, for those who pay by the span.
func TestWithoutSpawnSpanTheTaskLinksToTheSpawner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithoutSpawnSpan())
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		assert.ElementsMatch(t, []string{"agent", "job"}, tel.names())
		task := tel.span(t, "job")
		requireRoot(t, task)
		assert.Equal(t, []trace.SpanContext{agent.SpanContext()}, linked(t, task))
		assert.Empty(t, tel.span(t, "agent").Links(), "a late link would be lost, and a loop in Jaeger")
		assert.Equal(t, spawnedBy(agent.SpanContext(), agent.SpanContext()), foreign(t, task))
	})
}
