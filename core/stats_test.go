package core_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

func TestStatsOfTasksThatRunLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(2, -1))
		require.Zero(t, m.Stats().Oldest)
		first := m.Go(t.Context(), "first", ignore(time.Minute), core.WithTimeout(10*time.Second))
		time.Sleep(3 * time.Second)
		second := m.Go(t.Context(), "second", ignore(time.Hour))
		m.Go(t.Context(), "queued", succeed)
		synctest.Wait()
		require.Equal(t, 3*time.Second, m.Stats().Oldest)

		second.Cancel()
		time.Sleep(4 * time.Second)
		require.Zero(t, m.Stats().Overdue)
		time.Sleep(time.Second + time.Millisecond)
		require.Equal(t, 1, m.Stats().Overdue, "cancelled over five seconds ago")
		time.Sleep(8 * time.Second)
		require.Equal(t, 2, m.Stats().Overdue, "timed out over five seconds ago")
		requireEnds(t, first)
		require.Equal(t, 1, m.Stats().Overdue)
		require.Equal(t, time.Since(second.StartedAt()), m.Stats().Oldest)
		requireEnds(t, second)
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, core.Stats{Created: 3, Completed: 3}, m.Stats())
	})
}

func TestManagerFindsATaskByItsID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		running, queued := m.Go(t.Context(), "running", obey), m.Go(t.Context(), "queued", succeed)
		for _, want := range []*core.Task{running, queued} {
			found, ok := m.Task(want.ID())
			require.True(t, ok)
			require.Same(t, want, found)
		}
		_, ok := m.Task(3)
		require.False(t, ok)
		running.Cancel()
		require.NoError(t, m.Wait(t.Context()))
		_, ok = m.Task(running.ID())
		require.False(t, ok, "it has ended")
	})
}

func TestSetLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		release := make(chan struct{})
		m.Go(t.Context(), "a", until(release))
		queued := m.Go(t.Context(), "b", until(release))
		require.ErrorIs(t, m.Go(t.Context(), "c", succeed).Err(), core.ErrFull)
		m.SetLimit(2, 0)
		synctest.Wait()
		require.Equal(t, "running", queued.Info().State)
		require.ErrorIs(t, m.Go(t.Context(), "d", succeed).Err(), core.ErrFull)
		m.SetLimit(1, 1)
		require.Equal(t, 2, m.Stats().Running, "what runs goes on")
		require.Equal(t, "queued", m.Go(t.Context(), "e", succeed).Info().State)
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// A task with a slow Spawn has its slot before others, and starts after them.
func TestOldestIsTheTaskThatStartedFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithMiddleware(spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
			if task.Name() == "slow" {
				time.Sleep(time.Second)
			}
			return ctx
		})))
		go m.Go(t.Context(), "slow", during(time.Hour))
		synctest.Wait()
		m.Go(t.Context(), "quick", during(time.Hour))
		time.Sleep(3 * time.Second)
		require.Equal(t, 3*time.Second, m.Stats().Oldest)
		require.NoError(t, m.Close())
	})
}

// A handle may be kept for long. It must not keep what the request held in its context.
func TestHandleDoesNotKeepTheValuesOfTheRequest(t *testing.T) {
	for name, start := range map[string]func(*core.Manager, context.Context) *core.Task{
		"attached": func(m *core.Manager, ctx context.Context) *core.Task { return m.Go(ctx, "x", succeed, core.Attached()) },
		"in a group": func(m *core.Manager, ctx context.Context) *core.Task {
			g := m.Group(ctx)
			defer g.Wait() //nolint:errcheck // of tasks that succeed
			return g.Go("x", succeed)
		},
		"refused in a group": func(m *core.Manager, ctx context.Context) *core.Task {
			m.SetLimit(1, 0)
			defer m.Go(context.Background(), "first", obey).Cancel()
			return m.Group(ctx).Go("x", succeed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager()
			body := new([1 << 16]byte)
			seen := weak.Make(body)
			task := start(m, context.WithValue(context.Background(), key("body"), body))
			<-task.Done()
			require.NoError(t, m.Close())
			requireCollected(t, seen)
			runtime.KeepAlive(task)
			runtime.KeepAlive(m)
		})
	}
}
