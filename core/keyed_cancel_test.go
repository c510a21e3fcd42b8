package core_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Keyed: tasks that are cancelled, or end in other ways, before their turn.

// lingering is a middleware whose Handler takes another hour for tasks of that name, skipped ones too.
func lingering(name string) core.Option {
	return core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
		if task.Name() == name {
			defer time.Sleep(time.Hour)
		}
		return next(ctx, task)
	}))
}

// A task cancelled in the queue passes the chain at once. No other task waits for it, however long that takes.
func TestCancelledWhileItWaitsForItsTurnHoldsUpNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		tasks, cancel string // one letter each
		want          []string
	}{
		"the next":       {"abcd", "b", []string{"a", "c", "d"}},
		"in the middle":  {"abcd", "c", []string{"a", "b", "d"}},
		"the last":       {"abcd", "d", []string{"a", "b", "c"}},
		"the only":       {"ab", "b", []string{"a"}},
		"all, forwards":  {"abcd", "bcd", []string{"a"}},
		"all, backwards": {"abcd", "dcb", []string{"a"}},
	} {
		inBubble(t, name, func(t *testing.T) {
			opts := []core.Option{}
			for _, c := range tc.cancel {
				opts = append(opts, lingering(string(c)))
			}
			m := newManager(opts...)
			var order journal
			option, tasks := core.WithKey(&core.Keyed{}, "k"), map[rune]*core.Task{}
			for _, c := range tc.tasks {
				tasks[c] = m.Go(t.Context(), string(c), noting(&order, string(c)), option)
			}
			for _, c := range tc.cancel {
				tasks[c].Cancel()
				tasks[c].Cancel() // as harmless as once
			}
			time.Sleep(30 * time.Minute)
			require.Equal(t, tc.want, order.all())
			require.Equal(t, len(tc.cancel), m.Stats().Queued)
			m.Go(t.Context(), "e", noting(&order, "e"), option)
			synctest.Wait()
			require.Equal(t, append(tc.want, "e"), order.all())

			require.NoError(t, m.Wait(t.Context()))
			for _, c := range tc.cancel {
				assertOutcome(t, core.Cancelled, tasks[c])
				assert.Equal(t, core.ErrCancelled, tasks[c].Err())
			}
			requireBalanced(t, m.Stats())
		})
	}
}

// Its end does not pass on the turn, which another task has.
func TestCancelledWhileItWaitsForItsTurnPassesOnNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		var order journal
		option := core.WithKey(&core.Keyed{}, "k")
		m.Go(t.Context(), "a", noting(&order, "a"), option)
		b := m.Go(t.Context(), "b", noting(&order, "b"), option)
		m.Go(t.Context(), "c", noting(&order, "c"), option)
		b.Cancel()
		synctest.Wait()
		require.Equal(t, core.Stats{Created: 3, Running: 1, Queued: 1, Cancelled: 1}, counts(m))
		require.Equal(t, []string{"a"}, order.all())
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, []string{"a", "c"}, order.all())
	})
}

// A task that has its turn may still wait for a slot. If it is cancelled there, the next takes its place.
func TestCancelledWhileItWaitsForASlotPassesItsTurnOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, -1), lingering("b"))
		var order journal
		option := core.WithKey(&core.Keyed{}, "k")
		m.Go(t.Context(), "a", noting(&order, "a"))
		b := m.Go(t.Context(), "b", noting(&order, "b"), option)
		c := m.Go(t.Context(), "c", noting(&order, "c"), option)
		m.Go(t.Context(), "d", noting(&order, "d"), option)
		b.Cancel()
		c.Cancel()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"a", "d"}, order.all())
		assertOutcome(t, core.Cancelled, c)

		e := m.Go(t.Context(), "e", noting(&order, "e"), option)
		assertOutcome(t, core.Completed, e)
		assert.Equal(t, core.Pending, b.Outcome(), "it is in nobody's way")
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, core.Stats{Created: 5, Completed: 3, Cancelled: 2}, counts(m))
	})
}

// A running task keeps its turn until it has ended, also when it is cancelled.
func TestCancelledWhileItRunsKeepsItsTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		option, begin := core.WithKey(&core.Keyed{}, "k"), time.Now()
		first := m.Go(t.Context(), "first", ignore(time.Minute), option)
		second := m.Go(t.Context(), "second", succeed, option)
		synctest.Wait()
		first.Cancel()
		require.NoError(t, second.Wait(t.Context()))
		require.Equal(t, begin.Add(time.Minute), second.StartedAt())
		require.Equal(t, core.Completed, first.Outcome())
	})
}

func TestCancelledWhileItsSpawnGoesOnIsSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(slow("second", time.Minute))
		var order journal
		option := core.WithKey(&core.Keyed{}, "k")
		m.Go(t.Context(), "first", noting(&order, "first"), option)
		go m.Go(t.Context(), "second", noting(&order, "second"), option)
		synctest.Wait()
		m.Go(t.Context(), "third", noting(&order, "third"), option)
		m.CancelAll() // the first runs, and does not look
		m.Go(t.Context(), "fourth", noting(&order, "fourth"), option)
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{"first", "fourth"}, order.all())
		require.Equal(t, core.Stats{Created: 4, Queued: 1, Completed: 2, Cancelled: 1}, counts(m))
		require.NoError(t, m.Wait(t.Context()))
		require.EqualValues(t, 2, m.Stats().Cancelled)
	})
}

func TestCancelAllAndCloseEndWhatWaitsForItsTurn(t *testing.T) {
	for name, tc := range map[string]struct {
		stop  func(*core.Manager)
		cause error
	}{
		"CancelAll": {(*core.Manager).CancelAll, core.ErrCancelled},
		"Close":     {func(m *core.Manager) { _ = m.Close() }, core.ErrShutdown},
		"Shutdown without time": {func(m *core.Manager) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = m.Shutdown(ctx)
		}, core.ErrShutdown},
	} {
		for limit, opt := range map[string]core.Option{"": nil, " with a limit": core.WithLimit(1, -1)} {
			inBubble(t, name+limit, func(t *testing.T) {
				m := newManager(opt)
				s := &core.Keyed{}
				var tasks []*core.Task
				for i := range 20 {
					fn := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
					tasks = append(tasks, m.Go(t.Context(), "x", fn, core.WithKey(s, string("ab"[i%2]))))
				}
				synctest.Wait()
				begin := time.Now()
				tc.stop(m)
				for _, task := range tasks {
					assertOutcome(t, core.Cancelled, task)
					assert.Equal(t, tc.cause, task.Err())
				}
				require.NoError(t, m.Wait(t.Context()))
				require.Equal(t, begin, time.Now())
				require.Equal(t, core.Stats{Created: 20, Cancelled: 20}, counts(m))
			})
		}
	}
}

// It drains in order, with the follow-ups, and accepts nobody else.
func TestShutdownFinishesWhatWaitsForItsTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		var order journal
		option := core.WithKey(&core.Keyed{}, "k")
		m.Go(t.Context(), "a", func(ctx context.Context) error {
			time.Sleep(time.Second)
			order.add("a")
			assert.Equal(t, core.Pending, m.Go(ctx, "c", noting(&order, "c"), option).Outcome())
			return nil
		}, option)
		m.Go(t.Context(), "b", noting(&order, "b"), option)
		go func() {
			time.Sleep(time.Millisecond)
			assert.Equal(t, core.ErrClosed, m.Go(t.Context(), "late", succeed, option).Err())
		}()
		stats, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.Equal(t, core.ShutdownStats{
			Status: "completed", InitialTasks: 2, SpawnedTasks: 1, CompletedTasks: 3, Duration: 3 * time.Second,
		}, stats)
		require.Equal(t, []string{"a", "b", "c"}, order.all())
	})
}

// Tasks that wait behind one that does not stop are cancelled, and are not reported as left over.
func TestShutdownNamesWhatHoldsTheTurnAndDoesNotStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		option := core.WithKey(&core.Keyed{}, "k")
		m.Go(t.Context(), "stuck", ignore(time.Hour), option)
		for range 3 {
			m.Go(t.Context(), "behind", succeed, option)
		}
		stats, err := m.Shutdown(seconds(t, 20*time.Second))
		var report *core.ShutdownError
		require.ErrorAs(t, err, &report)
		require.Equal(t, []string{"stuck"}, namesOf(report.Remaining))
		require.Equal(t, []string{"behind", "behind", "behind"}, namesOf(report.Cancelled))
		requireAccounted(t, stats)
		require.Equal(t, 4, stats.InitialTasks)
		require.Equal(t, 3, stats.CancelledTasks)
		require.NoError(t, m.Wait(t.Context()))
	})
}
