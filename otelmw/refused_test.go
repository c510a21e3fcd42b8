package otelmw_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Refused tasks leave a mark in the trace of the request, and are counted.

// refusals is what is expected of afterspan.task.refused, by reason.
func refusals(name string, counts map[string]int64) metricdata.Metrics {
	sum := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	for reason, n := range counts {
		sum.DataPoints = append(sum.DataPoints, metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(
			attribute.String("afterspan.task.name", name), attribute.String("afterspan.refusal.reason", reason))})
	}
	return metricdata.Metrics{
		Name: "afterspan.task.refused", Unit: "{task}", Description: "Background tasks that were refused.", Data: sum,
	}
}

// It is an event on the span that wanted the task, and there is no span of its own.
func TestTaskThatTheManagerRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		opts   []core.Option
		task   []core.TaskOption
		before func(*core.Manager)
		reason string
	}{
		"full": {
			opts:   []core.Option{core.WithLimit(1, 0)},
			before: func(m *core.Manager) { m.Go(context.Background(), "job", obey) },
			reason: "full",
		},
		"key full": {
			task:   []core.TaskOption{core.WithKey(&core.Keyed{PerKey: 1}, "k")},
			reason: "full",
		},
		"closed": {before: func(m *core.Manager) { _ = m.Close() }, reason: "closed"},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := newManager(append(test.opts, core.WithMiddleware(tel.middleware()))...)
			if test.before != nil {
				test.before(m)
			} else {
				m.Go(context.Background(), "job", obey, test.task...)
			}
			ctx, agent := tel.start("agent")
			task := m.Go(ctx, "job", succeed, append(test.task, core.WithAttrs(slog.String("thread_id", "t-1")))...)
			require.Equal(t, core.Rejected, task.Outcome())
			agent.End()
			m.CancelAll()
			tel.wait(t, m)

			assert.NotContains(t, tel.names(), "spawn job")
			events := tel.span(t, "agent").Events()
			require.Len(t, events, 1)
			assert.Equal(t, "task refused", events[0].Name)
			assert.Equal(t, map[string]any{
				"afterspan.task.name": "job", "afterspan.refusal.reason": test.reason,
			}, values(t, events[0].Attributes))
			assert.Equal(t, refusals("job", map[string]int64{test.reason: 1}).Data.(metricdata.Sum[int64]).DataPoints[0].Attributes,
				tel.collect(t)["afterspan.task.refused"].Data.(metricdata.Sum[int64]).DataPoints[0].Attributes)
		})
	}
}

func TestRefusalsAreCountedByNameAndReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware(noTraces)), core.WithLimit(1, 0))
		running := m.Go(context.Background(), "other", obey)
		for range 3 {
			m.Go(context.Background(), "job", succeed)
		}
		running.Cancel()
		require.NoError(t, m.Close())
		m.Go(context.Background(), "job", succeed)
		want := refusals("job", map[string]int64{"full": 3, "closed": 1})
		assertMetric(t, tel, want)
	})
}

// A middleware refuses a task after its spans have begun: they say so, and it is not an error.
func TestTaskThatAMiddlewareRefuses(t *testing.T) {
	errQuota := fmt.Errorf("%w: quota of ada", core.ErrRejected)
	refuse := around(func(context.Context, *core.Task, core.Handler) error { return errQuota })
	for name, test := range map[string]struct {
		chain func(mw core.Middleware) []core.Middleware
		spans []string
	}{
		"inside":  {func(mw core.Middleware) []core.Middleware { return []core.Middleware{mw, refuse} }, []string{"spawn job", "job"}},
		"outside": {func(mw core.Middleware) []core.Middleware { return []core.Middleware{refuse, mw} }, []string{"spawn job"}},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := newManager(core.WithMiddleware(test.chain(tel.middleware())...))
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", succeed)
			agent.End()
			tel.wait(t, m)
			assert.ElementsMatch(t, append(test.spans, "agent"), tel.names())
			for _, name := range test.spans {
				assertUnset(t, tel.span(t, name))
				assert.Equal(t, "rejected", values(t, tel.span(t, name).Attributes())["afterspan.task.outcome"])
			}
			assert.Empty(t, tel.span(t, "agent").Events())
			assertMetric(t, tel, refusals("job", map[string]int64{"rejected": 1}))
			assert.NotContains(t, tel.collect(t), "afterspan.task.duration", "it has none")
			assert.Zero(t, tel.active(t))
		})
	}
}

func TestRefusedTaskThatIsFilteredLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(filtered)
		require.NoError(t, m.Close())
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		assert.Empty(t, tel.span(t, "agent").Events())
		assert.Empty(t, tel.collect(t))
	})
}

// Without a span that records there is nothing to add an event to.
func TestRefusedTaskWithoutASpawner(t *testing.T) {
	for name, spawner := range map[string]func() context.Context{
		"none":      context.Background,
		"unsampled": func() context.Context { ctx, _ := unsampled(); return ctx },
		"remote":    func() context.Context { ctx, _ := remote(1); return ctx },
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager()
			require.NoError(t, m.Close())
			m.Go(spawner(), "job", succeed)
			assert.Empty(t, tel.names())
			assertMetric(t, tel, refusals("job", map[string]int64{"closed": 1}))
		})
	}
}

// A span that panics at an event is not the caller's concern.
func TestRefusedTaskWhoseSpawnersSpanPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithRelation(otelmw.None))
		require.NoError(t, m.Close())
		task := m.Go(contextWith(panickingSpan{}), "job", succeed)
		require.True(t, errors.Is(task.Err(), core.ErrClosed))
		assert.Equal(t, []string{"otelmw: an event: panic: no connection"}, handled.take())
		assertMetric(t, tel, refusals("job", map[string]int64{"closed": 1}))
	})
}
