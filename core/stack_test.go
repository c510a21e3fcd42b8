package core_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Stack finds the goroutine of the task among thousands of others.
func TestStackOfATask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(8000, 1))
		release := make(chan struct{})
		m.Go(t.Context(), "first", func(context.Context) error { firstPlace(release); return nil })
		for range 7998 { // more goroutines than the automatic line takes
			m.Go(t.Context(), "other", until(release))
		}
		second := m.Go(t.Context(), "second", func(context.Context) error { secondPlace(release); return nil })
		queued := m.Go(t.Context(), "queued", succeed)
		synctest.Wait()

		stack, ok := second.Stack()
		require.True(t, ok)
		require.Contains(t, stack, "secondPlace")
		require.Contains(t, stack, "chan receive")
		require.NotContains(t, stack, "firstPlace")
		require.NotContains(t, stack, "\n\n", "one goroutine alone")

		_, ok = queued.Stack()
		require.False(t, ok, "it has none yet")
		close(release)
		requireEnds(t, second)
		require.NoError(t, m.Wait(t.Context()))
		_, ok = second.Stack()
		require.False(t, ok, "it has none any more")
		_, ok = core.NewTask("of no manager").Stack()
		require.False(t, ok)
	})
}

func TestHandles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(2, -1))
		a := m.Go(t.Context(), "a", obey)
		b := m.Go(t.Context(), "b", obey)
		c := m.Go(t.Context(), "c", obey)
		require.Equal(t, []*core.Task{a, b, c}, m.Handles())
		b.Cancel()
		synctest.Wait()
		require.Equal(t, []*core.Task{a, c}, m.Handles())
		require.NoError(t, m.Close())
		require.Empty(t, m.Handles())
	})
}

func TestInfoSaysWhatIsOverdueAndSinceWhenItRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		task := m.Go(t.Context(), "deaf", ignore(time.Minute), core.WithAttrs(slog.Int("n", 1)))
		queued := m.Go(t.Context(), "queued", succeed)
		synctest.Wait()
		require.Equal(t, task.StartedAt(), task.Info().StartedAt)
		require.Equal(t, task.CreatedAt(), task.Info().CreatedAt)
		require.Zero(t, queued.Info().StartedAt)
		task.Cancel()
		time.Sleep(4 * time.Second)
		require.False(t, task.Info().Overdue)
		time.Sleep(2 * time.Second)
		info := m.Tasks()[0]
		require.True(t, info.Overdue)
		out, err := json.Marshal(info)
		require.NoError(t, err)
		require.Contains(t, string(out), `"overdue":true`)
		require.NoError(t, m.Wait(t.Context()))
		require.False(t, task.Info().Overdue, "it has stopped")
	})
}
