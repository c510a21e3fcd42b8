package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// A task that does not stop is in the trace of its request all the same: a span is only exported once
// it has ended, so the shutdown that leaves the task behind ends its spans.

func shutDownIn(d time.Duration, m *core.Manager) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_, _ = m.Shutdown(ctx)
}

func TestAbandonedTaskHasItsSpansEnded(t *testing.T) {
	for name, test := range map[string]struct {
		hold  time.Duration
		spawn string
	}{
		"while its spawn span is held": {time.Hour, "abandoned"},
		"after the hold":               {time.Second, "pending"},
		"without a hold":               {0, "pending"},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(otelmw.WithSpawnSpanHold(test.hold))
			ctx, agent := tel.start("agent")
			release := make(chan struct{})
			stuck := m.Go(ctx, "stuck", func(ctx context.Context) error {
				ctx, span := tel.startIn(ctx, "query") // which is the current one, and is not ours to end
				defer span.End()
				return until(release)(ctx)
			})
			agent.End()
			shutDownIn(10*time.Second, m)

			job, spawn := tel.span(t, "stuck"), tel.span(t, "spawn stuck")
			assert.Equal(t, 10*time.Second, job.EndTime().Sub(job.StartTime()), "to the end of the shutdown")
			assert.Equal(t, "abandoned", values(t, job.Attributes())["afterspan.task.outcome"])
			assert.Equal(t, codes.Error, job.Status().Code)
			assert.Equal(t, spawn.StartTime(), spawn.EndTime())
			assert.Equal(t, test.spawn, values(t, spawn.Attributes())["afterspan.task.outcome"])
			assert.Equal(t, test.spawn == "abandoned", spawn.Status().Code == codes.Error)
			assert.Equal(t, []trace.SpanContext{job.SpanContext()}, linked(t, spawn))
			assert.EqualValues(t, 1, tel.active(t), "it still runs")
			assert.NotContains(t, tel.names(), "query")

			close(release) // it stops after all
			require.NoError(t, stuck.Wait(t.Context()))
			synctest.Wait()
			assert.ElementsMatch(t, []string{"agent", "spawn stuck", "stuck", "query"}, tel.names(), "once each")
			assert.Equal(t, "abandoned", values(t, tel.span(t, "stuck").Attributes())["afterspan.task.outcome"])
			assert.Zero(t, tel.active(t))
			assert.EqualValues(t, 1, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Count)
		})
	}
}

func TestAbandonedChildHasItsSpanEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithRelation(otelmw.Child))
		ctx, agent := tel.start("agent")
		release := make(chan struct{})
		m.Go(ctx, "stuck", until(release))
		agent.End()
		shutDownIn(time.Second, m)
		assert.Equal(t, "abandoned", values(t, tel.span(t, "stuck").Attributes())["afterspan.task.outcome"])
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// Of the attempts of a hedge, all that are under way are ended.
func TestAbandonedTaskWithSeveralAttemptsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		hedge := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			errs := make(chan error, 3)
			for range 3 {
				go func() { errs <- next(ctx, task) }()
				time.Sleep(time.Millisecond)
			}
			return <-errs
		})
		m := newManager(core.WithMiddleware(hedge, tel.middleware()))
		release := make(chan struct{})
		m.Go(context.Background(), "stuck", until(release))
		shutDownIn(time.Second, m)
		assert.Len(t, tel.spans("stuck"), 3)
		tel.requireAllEnded(t)
		close(release)
		require.NoError(t, m.Wait(t.Context()))
		synctest.Wait()
		assert.Len(t, tel.spans("stuck"), 3)
	})
}

func TestAbandonedTaskThatIsFilteredLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(filtered)
		release := make(chan struct{})
		m.Go(context.Background(), "stuck", until(release))
		shutDownIn(time.Second, m)
		assert.Empty(t, tel.names())
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// The end of a stuck task and the shutdown may come together.
func TestAbandonedTaskConcurrentSafe(t *testing.T) {
	const tasks = 200
	tel := newTelemetry(t) // no fake clock: -race is to see the two meet
	m := tel.manager()
	ctx, agent := tel.start("agent")
	release := make(chan struct{})
	for range tasks {
		m.Go(ctx, "stuck", until(release))
	}
	agent.End()
	go close(release)
	shutDownIn(time.Millisecond, m)
	require.NoError(t, m.Wait(t.Context()))
	tel.requireAllEnded(t)
	assert.Len(t, tel.spans("stuck"), tasks)
	assert.Len(t, tel.spans("spawn stuck"), tasks)
}
