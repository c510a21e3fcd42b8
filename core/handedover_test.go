package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// saves is a middleware that gives away the work of every task that is cancelled.
var saves = around(func(ctx context.Context, task *core.Task, next core.Handler) error {
	err := next(ctx, task)
	if task.OutcomeOf(err) == core.Cancelled {
		return fmt.Errorf("job 7: %w", core.ErrHandedOver)
	}
	return err
})

func TestWorkThatWasHandedOverIsNotLost(t *testing.T) {
	inBubble(t, "running and queued", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(1, -1), core.WithMiddleware(saves))
		running := m.Go(t.Context(), "running", obey)
		queued := m.Go(t.Context(), "queued", succeed)
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		require.NoError(t, err)
		requireAccounted(t, stats)
		require.Equal(t, "completed", stats.Status)
		require.Equal(t, 2, stats.CancelledTasks)
		require.Equal(t, 2, stats.HandedOver)
		for _, task := range []*core.Task{running, queued} {
			require.Equal(t, core.Cancelled, task.Outcome())
			require.ErrorIs(t, task.Err(), core.ErrHandedOver)
		}
		for _, line := range log.with(t, msgCancelled) {
			require.Equal(t, "DEBUG", line.level())
		}
		require.InDelta(t, 2, log.only(t, "shutdown of background tasks ended")["handed_over_tasks"], 0)
		text, err := json.Marshal(stats)
		require.NoError(t, err)
		require.Contains(t, string(text), `"handed_over_tasks":2`)
	})
	inBubble(t, "until the shutdown", func(t *testing.T) {
		m := newManager(core.WithMiddleware(saves))
		m.Go(t.Context(), "poller", obey, core.UntilShutdown())
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		require.NoError(t, err)
		require.Equal(t, "completed", stats.Status)
		require.Equal(t, 1, stats.HandedOver)
	})
	inBubble(t, "of a task that another one waited for", func(t *testing.T) {
		m := newManager(core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			err := next(ctx, task)
			if task.Name() == "sub" {
				return core.ErrHandedOver
			}
			return err
		})))
		m.Go(t.Context(), "parent", func(ctx context.Context) error {
			sub := m.Go(ctx, "sub", obey)
			<-sub.Done()
			return sub.Err()
		})
		synctest.Wait()
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		var report *core.ShutdownError
		require.ErrorAs(t, err, &report)
		require.Equal(t, []string{"parent"}, namesOf(report.Cancelled))
		require.Equal(t, 1, stats.HandedOver)
	})
	inBubble(t, "by the shutdown of another manager", func(t *testing.T) {
		other, m := newManager(), newManager(core.WithMiddleware(saves))
		other.Go(t.Context(), "x", func(ctx context.Context) error {
			m.Go(ctx, "attached", obey, core.Attached())
			return obey(ctx)
		})
		synctest.Wait()
		require.NoError(t, other.Close())
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		require.NoError(t, err)
		require.Zero(t, stats.HandedOver)
	})
	inBubble(t, "beside work that was lost", func(t *testing.T) {
		m := newManager(core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			if task.Name() == "lost" {
				return next(ctx, task)
			}
			_ = next(ctx, task)
			return core.ErrHandedOver
		})))
		m.Go(t.Context(), "lost", obey)
		m.Go(t.Context(), "saved", obey)
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		var report *core.ShutdownError
		require.ErrorAs(t, err, &report)
		require.Equal(t, []string{"lost"}, namesOf(report.Cancelled))
		require.Equal(t, "cancelled", stats.Status)
		require.Equal(t, 1, stats.HandedOver)
	})
	inBubble(t, "counts only after a shutdown's cancel", func(t *testing.T) {
		m := newManager(core.WithMiddleware(saves))
		m.Go(t.Context(), "x", obey).Cancel()
		failed := m.Go(t.Context(), "x", endsWith(core.ErrHandedOver))
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		require.NoError(t, err)
		require.Zero(t, stats.HandedOver)
		require.Equal(t, core.Failed, failed.Outcome())
		text, err := json.Marshal(stats)
		require.NoError(t, err)
		require.NotContains(t, string(text), "handed_over")
	})
}
