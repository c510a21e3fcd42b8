package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Tasks that start tasks. A task's context has the values of its spawner's, and so what the
// middleware keeps there of the spawner, too: it must not take that for the task's own.

func TestTaskOfATaskLinksToThatTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "outer", func(ctx context.Context) error {
			m.Go(ctx, "inner", func(context.Context) error { time.Sleep(time.Second); return nil })
			return nil
		})
		agent.End()
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"agent", "spawn outer", "outer", "spawn inner", "inner"}, tel.names())
		outer, spawn, inner := tel.span(t, "outer"), tel.span(t, "spawn inner"), tel.span(t, "inner")

		assert.Equal(t, outer.SpanContext(), spawn.Parent())
		assert.Equal(t, []trace.SpanContext{inner.SpanContext()}, linked(t, spawn))
		requireRoot(t, inner)
		assert.Equal(t, []trace.SpanContext{spawn.SpanContext()}, linked(t, inner))
		assert.Equal(t, spawnedBy(outer.SpanContext(), agent.SpanContext()), foreign(t, inner))
		assert.Equal(t, []trace.SpanContext{outer.SpanContext()}, linked(t, tel.span(t, "spawn outer")),
			"the first spawner's trace knows its own task only")
	})
}

// The span that starts the inner task is the one that is current there, deep in the outer one.
func TestTaskOfASpanWithinATaskLinksToThatSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		m.Go(context.Background(), "outer", func(ctx context.Context) error {
			ctx, span := tel.startIn(ctx, "query")
			defer span.End()
			m.Go(ctx, "inner", succeed)
			return nil
		})
		tel.wait(t, m)
		assert.Equal(t, tel.span(t, "outer").SpanContext(), tel.span(t, "query").Parent())
		assert.Equal(t, tel.span(t, "query").SpanContext(), tel.span(t, "spawn inner").Parent())
	})
}

// filterOut leaves the tasks of that name unrecorded.
func filterOut(name string) otelmw.Option {
	return otelmw.WithFilter(func(_ context.Context, task *core.Task) bool { return task.Name() != name })
}

// A task that is filtered is not there, so what it starts is its spawner's.
func TestTaskOfAFilteredTaskLinksToTheSpawnerOfThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(filterOut("outer"))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "outer", func(ctx context.Context) error {
			m.Go(ctx, "inner", succeed)
			return nil
		})
		agent.End()
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"agent", "inner"}, tel.names())
		inner := tel.span(t, "inner")
		requireRoot(t, inner)
		assert.Equal(t, []trace.SpanContext{agent.SpanContext()}, linked(t, inner))
	})
}

// The filtered inner task runs while the outer one still waits for its start, which is when it
// could do the most harm: end the outer's span "spawn", or count itself as an attempt of it.
func TestFilteredTaskLeavesTheTaskAroundItAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		var m *core.Manager
		mw := tel.middleware(filterOut("inner"))
		startsInner := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			if task.Name() == "outer" { // the inner one inherits what the outer's Spawn put into the context
				assert.NoError(t, m.Go(ctx, "inner", succeed).Wait(ctx))
				time.Sleep(time.Second)
			}
			return next(ctx, task)
		})
		m = newManager(core.WithMiddleware(startsInner, mw))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "outer", succeed)
		agent.End()
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"agent", "spawn outer", "outer"}, tel.names())
		spawn, outer := tel.span(t, "spawn outer"), tel.span(t, "outer")
		assert.Equal(t, []trace.SpanContext{outer.SpanContext()}, linked(t, spawn))
		assert.Equal(t, []trace.SpanContext{spawn.SpanContext()}, linked(t, outer))
		assert.NotContains(t, values(t, outer.Attributes()), "afterspan.task.attempt")
	})
}

// A manager without this middleware starts a task with the context of one that has it: what is in
// that context stays the outer task's.
func TestTaskOfAnotherManagerWithoutTheMiddlewareLeavesTheTaskAroundItAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m, plain := tel.manager(), newManager()
		m.Go(context.Background(), "outer", func(ctx context.Context) error {
			plain.Go(ctx, "plain", func(ctx context.Context) error {
				m.Go(ctx, "inner", succeed)
				return nil
			})
			return plain.Wait(ctx)
		})
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"outer", "spawn inner", "inner"}, tel.names())
		assert.Equal(t, tel.span(t, "outer").SpanContext(), tel.span(t, "spawn inner").Parent())
	})
}

// A chain that runs without its Spawn, within a task of the same middleware, finds the outer task's state
// in its context and must not take it for its own.
func TestChainWithoutSpawnWithinATaskLeavesTheTaskAroundItAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		mw := tel.middleware()
		inner := mw.Wrap(func(context.Context, *core.Task) error { return nil })
		m := newManager(core.WithMiddleware(around(
			func(ctx context.Context, task *core.Task, next core.Handler) error {
				assert.NoError(t, inner(ctx, core.NewTask("inner")))
				return next(ctx, task)
			}), mw))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "outer", succeed)
		agent.End()
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"agent", "inner", "spawn outer", "outer"}, tel.names())
		assert.Equal(t, []trace.SpanContext{agent.SpanContext()}, linked(t, tel.span(t, "inner")))
		assert.Equal(t, []trace.SpanContext{tel.span(t, "outer").SpanContext()}, linked(t, tel.span(t, "spawn outer")))
		assert.NotContains(t, values(t, tel.span(t, "outer").Attributes()), "afterspan.task.attempt")
	})
}
