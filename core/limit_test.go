package core_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// WithLimit.

func TestLimitBoundsWhatRunsAndWhatWaits(t *testing.T) {
	for _, tc := range []struct {
		running, queued               int
		wantRunning, wantQueued, left int // of 20
	}{
		{running: 0, queued: 0, wantRunning: 20},
		{running: -1, queued: 3, wantRunning: 20},
		{running: 1, queued: 0, wantRunning: 1, left: 19},
		{running: 3, queued: 0, wantRunning: 3, left: 17},
		{running: 3, queued: 5, wantRunning: 3, wantQueued: 5, left: 12},
		{running: 3, queued: -1, wantRunning: 3, wantQueued: 17},
		{running: 30, queued: 5, wantRunning: 20},
	} {
		inBubble(t, fmt.Sprintf("WithLimit(%d, %d)", tc.running, tc.queued), func(t *testing.T) {
			m := newManager(core.WithLimit(tc.running, tc.queued))
			var now, most atomic.Int32
			for range 20 {
				m.Go(t.Context(), "x", func(context.Context) error {
					defer now.Add(-1)
					n := now.Add(1)
					for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
					}
					time.Sleep(time.Second)
					return nil
				})
			}
			synctest.Wait()
			stats := m.Stats()
			require.Equal(t, tc.wantRunning, stats.Running)
			require.Equal(t, tc.wantQueued, stats.Queued)
			require.EqualValues(t, tc.left, stats.Rejected)
			require.Len(t, m.Tasks(), tc.wantRunning+tc.wantQueued)

			require.NoError(t, m.Wait(t.Context()))
			require.EqualValues(t, tc.wantRunning, most.Load(), "never more at a time")
			require.EqualValues(t, 20-tc.left, m.Stats().Completed)
			m.Go(t.Context(), "room again", succeed)
			require.NoError(t, m.Wait(t.Context()))
			require.EqualValues(t, tc.left, m.Stats().Rejected)
		})
	}
}

func TestQueuedTasksStartInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, -1))
		var order []uint64
		for range 50 {
			m.Go(t.Context(), "x", func(ctx context.Context) error {
				order = append(order, task(ctx).ID()) // one at a time
				return nil
			})
		}
		require.NoError(t, m.Wait(t.Context()))
		require.Len(t, order, 50)
		for i, id := range order {
			require.EqualValues(t, i+1, id)
		}
	})
}

// A thousand waiting tasks are a thousand structs, not a thousand goroutines.
func TestQueuedTasksHoldNoGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, -1))
		release := make(chan struct{})
		m.Go(t.Context(), "first", until(release))
		before := runtime.NumGoroutine()
		for range 1000 {
			m.Go(t.Context(), "queued", succeed)
		}
		require.Less(t, runtime.NumGoroutine(), before+100)
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// The chain of a task that was cancelled in the queue runs without a slot. If it takes long it
// keeps its place in the queue, or goroutines could pile up beyond any limit.
func TestCancelledInTheQueueKeepsItsPlaceUntilItEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 2), core.WithMiddleware(around(
			func(ctx context.Context, task *core.Task, next core.Handler) error {
				defer time.Sleep(time.Second)
				return next(ctx, task)
			})))
		m.Go(t.Context(), "first", ignore(time.Minute))
		second, third := m.Go(t.Context(), "x", succeed), m.Go(t.Context(), "x", succeed)
		second.Cancel()
		synctest.Wait()
		require.Equal(t, core.Stats{Created: 3, Running: 1, Queued: 2}, counts(m))
		require.Equal(t, core.ErrFull, m.Go(t.Context(), "x", succeed).Err())
		time.Sleep(2 * time.Second)
		require.Equal(t, core.Cancelled, second.Outcome())
		fourth := m.Go(t.Context(), "x", succeed)
		require.Equal(t, core.Pending, fourth.Outcome())
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, core.Completed, third.Outcome())
		assert.Equal(t, core.Completed, fourth.Outcome())
		requireBalanced(t, m.Stats())
	})
}

// The Spawns of a task that has to wait run at once, on the goroutine that calls Go: the
// spawner's span is still recording then.
func TestQueuedTaskIsSpawnedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var spawned journal
		m := newManager(core.WithLimit(1, 1), core.WithMiddleware(spawnFunc(
			func(ctx context.Context, task *core.Task) context.Context {
				spawned.add(task.Name())
				return ctx
			})))
		m.Go(t.Context(), "first", ignore(time.Minute))
		m.Go(t.Context(), "second", succeed)
		require.Equal(t, []string{"first", "second"}, spawned.all())
		require.NoError(t, m.Wait(t.Context()))
	})
}

// A slot may come free while the Spawns of the next task still run. That task gets the slot all the same.
func TestSlotThatComesFreeDuringSpawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, -1), core.WithMiddleware(spawnFunc(
			func(ctx context.Context, task *core.Task) context.Context {
				if task.Name() == "slow" {
					time.Sleep(time.Minute)
				}
				return ctx
			})))
		var order journal
		note := func(name string) core.Func {
			return func(context.Context) error { order.add(name); return nil }
		}
		m.Go(t.Context(), "first", func(context.Context) error { order.add("first"); time.Sleep(time.Second); return nil })
		go m.Go(t.Context(), "slow", note("slow"))
		synctest.Wait()
		m.Go(t.Context(), "last", note("last"))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"first"}, order.all())
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, []string{"first", "slow", "last"}, order.all())
	})
}

// A task's own follow-ups count as any other: a full manager refuses them.
func TestNestedTasksCountInTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		outer := m.Go(t.Context(), "outer", func(ctx context.Context) error {
			first, second := m.Go(ctx, "nested", succeed), m.Go(ctx, "nested", succeed)
			assert.Equal(t, core.Pending, first.Outcome())
			assert.Equal(t, core.ErrFull, second.Err())
			return nil
		})
		require.NoError(t, outer.Wait(t.Context()))
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, core.Stats{Created: 3, Completed: 2, Rejected: 1}, counts(m))
	})
}
