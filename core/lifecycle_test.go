package core_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promise 2: once each. Every accepted task passes the chain once and ends in one outcome.

// ways are the ways in which a run can end.
var ways = map[string]struct {
	fn      core.Func
	outcome core.Outcome
}{
	"returns":           {succeed, core.Completed},
	"returns an error":  {fail, core.Failed},
	"panics":            {func(context.Context) error { panic("no such template") }, core.Failed},
	"panics with nil":   {func(context.Context) error { panic(nil) }, core.Failed},
	"calls Goexit":      {func(context.Context) error { runtime.Goexit(); return nil }, core.Failed},
	"is out of time":    {obey, core.TimedOut},
	"ignores its limit": {ignore(time.Hour), core.Completed},
	"fails beyond it":   {ignoreAndFail(time.Hour), core.TimedOut},
}

func TestTaskPassesTheChainOnceAndEndsOnce(t *testing.T) {
	for name, way := range ways {
		for limit, opts := range map[string][]core.Option{
			"no limit": nil,
			"limit":    {core.WithLimit(1, 0)},
		} {
			inBubble(t, name+"/"+limit, func(t *testing.T) {
				var spawns, runs, ends atomic.Int32
				m := newManager(append(opts, core.WithMiddleware(
					spawnFunc(func(ctx context.Context, _ *core.Task) context.Context { spawns.Add(1); return ctx }),
					around(func(ctx context.Context, task *core.Task, next core.Handler) error {
						defer ends.Add(1)
						runs.Add(1)
						return next(ctx, task)
					}),
				))...)
				var inside context.Context
				task := m.Go(t.Context(), "once", func(ctx context.Context) error {
					inside = ctx
					assert.Equal(t, core.Stats{Created: 1, Running: 1}, counts(m))
					assert.Equal(t, core.Pending, task(ctx).Outcome())
					assert.NoError(t, task(ctx).Err(), "no error until done")
					return way.fn(ctx)
				}, core.WithTimeout(time.Minute))

				assertOutcome(t, way.outcome, task)
				require.EqualValues(t, 1, spawns.Load())
				require.EqualValues(t, 1, runs.Load())
				require.EqualValues(t, 1, ends.Load())
				require.Error(t, inside.Err(), "its context is cancelled at the end")
				require.Equal(t, way.outcome == core.Completed, task.Err() == nil)
				stats := m.Stats()
				requireBalanced(t, stats)
				require.Zero(t, stats.Running+stats.Queued, "its slot is free")
				require.Empty(t, m.Tasks())

				task.Cancel() // is too late, and changes nothing
				m.CancelAll()
				require.Equal(t, stats, m.Stats())
				assertOutcome(t, way.outcome, task)
				require.NoError(t, m.Close())
			})
		}
	}
}

func task(ctx context.Context) *core.Task {
	t, _ := core.TaskFromContext(ctx)
	return t
}

// Each outcome is counted under its own name.
func TestStatsCountEachOutcome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(3, 2))
		require.Equal(t, core.Stats{}, counts(m))

		m.Go(t.Context(), "completes", succeed)
		m.Go(t.Context(), "fails", fail)
		synctest.Wait()
		require.Equal(t, core.Stats{Created: 2, Completed: 1, Failed: 1}, counts(m))

		cancelled := m.Go(t.Context(), "cancelled", obey)
		m.Go(t.Context(), "timed_out", obey, core.WithTimeout(time.Second))
		m.Go(t.Context(), "running", ignore(time.Minute))
		m.Go(t.Context(), "queued", ignore(time.Minute))
		m.Go(t.Context(), "queued", ignore(time.Minute))
		m.Go(t.Context(), "rejected", succeed)
		synctest.Wait()
		require.Equal(t, core.Stats{Created: 8, Completed: 1, Failed: 1, Rejected: 1, Running: 3, Queued: 2}, counts(m))

		cancelled.Cancel()
		time.Sleep(2 * time.Second)
		require.Equal(t, core.Stats{Created: 8, Completed: 1, Failed: 1, Cancelled: 1, TimedOut: 1, Rejected: 1, Running: 3}, counts(m))
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, core.Stats{Created: 8, Completed: 4, Failed: 1, Cancelled: 1, TimedOut: 1, Rejected: 1}, counts(m))
	})
}

// A task that is cancelled while it waits ends at once. The chain still runs, since its
// Spawns have begun what has to be ended; the Func is not called.
func TestCancelledWhileQueued(t *testing.T) {
	for name, tc := range map[string]struct {
		cancel func(*core.Manager, *core.Task)
		cause  error
	}{
		"by Cancel":    {func(_ *core.Manager, task *core.Task) { task.Cancel() }, core.ErrCancelled},
		"by CancelAll": {func(m *core.Manager, _ *core.Task) { m.CancelAll() }, core.ErrCancelled},
		"by Close":     {func(m *core.Manager, _ *core.Task) { _ = m.Close() }, core.ErrShutdown},
		"by Shutdown": {func(m *core.Manager, _ *core.Task) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = m.Shutdown(ctx)
		}, core.ErrShutdown},
		"by Cancel, then Close": {func(m *core.Manager, task *core.Task) { task.Cancel(); _ = m.Close() }, core.ErrCancelled},
	} {
		inBubble(t, name, func(t *testing.T) {
			spawns, runs := 0, 0
			m := newManager(core.WithShutdownTimeout(0), core.WithLimit(1, 5), core.WithMiddleware(
				spawnFunc(func(ctx context.Context, _ *core.Task) context.Context { spawns++; return ctx }),
				around(func(ctx context.Context, task *core.Task, next core.Handler) error {
					if task.Name() != "queued" {
						return next(ctx, task)
					}
					runs++
					assert.Equal(t, context.Canceled, ctx.Err(), "the chain sees a cancelled context")
					assert.Equal(t, tc.cause, context.Cause(ctx))
					err := next(ctx, task)
					assert.Equal(t, tc.cause, err)
					assert.Equal(t, core.Cancelled, task.OutcomeOf(err))
					return err
				})))
			first := m.Go(t.Context(), "first", ignore(time.Minute))
			queued := m.Go(t.Context(), "queued", func(context.Context) error {
				assert.Fail(t, "Func was called")
				return nil
			}, core.WithTimeout(time.Second))
			synctest.Wait()
			assert.True(t, queued.StartedAt().IsZero(), "not started while it waits")
			require.Equal(t, "queued", queued.Info().State)

			time.Sleep(10 * time.Second) // the timeout does not run while it waits
			tc.cancel(m, queued)
			synctest.Wait()
			require.Equal(t, core.Cancelled, queued.Outcome(), "at once, though the slot is still taken")
			require.Equal(t, tc.cause, queued.Err())
			require.Equal(t, core.Pending, first.Outcome())
			require.Equal(t, 2, spawns)
			require.Equal(t, 1, runs)
			require.Equal(t, core.Stats{Created: 2, Cancelled: 1, Running: 1}, counts(m))
			require.Equal(t, 10*time.Second, queued.Info().Age)
			require.NoError(t, m.Wait(t.Context()))
		})
	}
}

// The others of the queue keep their order.
func TestCancelFromTheMiddleOfTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, -1))
		var started journal
		tasks := map[string]*core.Task{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			tasks[name] = m.Go(t.Context(), name, func(ctx context.Context) error {
				started.add(name)
				time.Sleep(time.Second)
				return nil
			})
		}
		tasks["c"].Cancel()
		tasks["e"].Cancel()
		tasks["b"].Cancel()
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, []string{"a", "d"}, started.all())
	})
}

// A task may be cancelled before its run began: by another goroutine while its Spawn
// still goes on, and so before Go has returned its handle.
func TestCancelledDuringSpawn(t *testing.T) {
	for name, tc := range map[string]struct {
		limit  core.Option
		called bool
	}{
		"with a slot":    {core.WithLimit(0, 0), true},
		"in the queue":   {core.WithLimit(1, 1), false},
		"beyond a limit": {core.WithLimit(2, 0), true},
	} {
		inBubble(t, name, func(t *testing.T) {
			var m *core.Manager
			m = newManager(tc.limit, core.WithMiddleware(spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
				if task.Name() == "slow" {
					m.CancelAll()
					go m.Close() // comes second: the cause of the first stands
					synctest.Wait()
					assert.Equal(t, core.Pending, task.Outcome(), "it cannot end before its Spawns have")
					assert.Equal(t, "cancelling", task.Info().State)
				}
				return ctx
			})))
			first := m.Go(t.Context(), "first", ignore(time.Second))
			called := false
			slow := m.Go(t.Context(), "slow", func(ctx context.Context) error {
				called = true
				assert.Equal(t, core.ErrCancelled, context.Cause(ctx))
				return ctx.Err()
			}, core.WithTimeout(time.Minute))
			assertOutcome(t, core.Cancelled, slow)
			assertOutcome(t, core.Completed, first)
			require.Equal(t, tc.called, called)
		})
	}
}

// What a task held is free when it is done, however it ended.
func TestSlotIsFreeHoweverTheTaskEnded(t *testing.T) {
	for name, way := range ways {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithLimit(1, 0))
			for range 3 {
				task := m.Go(t.Context(), "one_at_a_time", way.fn, core.WithTimeout(time.Second))
				assertOutcome(t, way.outcome, task)
			}
			require.Zero(t, m.Stats().Rejected)
		})
	}
}

// When Done is closed everything is settled: the result, the context, the counters, the slot.
func TestEverythingIsSettledWhenDoneIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 0))
		for range 200 {
			task := m.Go(t.Context(), "settle", fail)
			<-task.Done()
			require.Equal(t, errTask, task.Err())
			require.Equal(t, core.Failed, task.Outcome())
			require.True(t, task.Info().Done)
			require.Empty(t, m.Tasks())
			require.Zero(t, m.Stats().Running)
		}
		require.EqualValues(t, 200, m.Stats().Failed)
	})
}

// The same for those who watch from another goroutine: who sees that the task is done sees all of it.
func TestEverythingIsSettledAtOnce(t *testing.T) {
	for name, ended := range map[string]func(*core.Manager, *core.Task) bool{
		"in the handle": func(_ *core.Manager, task *core.Task) bool { return task.Info().Done },
		"in Stats":      func(m *core.Manager, _ *core.Task) bool { return m.Stats().Running == 0 },
		"in Tasks":      func(m *core.Manager, _ *core.Task) bool { return len(m.Tasks()) == 0 },
		"by Wait":       func(m *core.Manager, _ *core.Task) bool { return m.Wait(over) == nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(core.WithLimit(1, 0))
			defer sample(t, m)()
			for n := range uint64(3000) {
				task := m.Go(t.Context(), "settle", fail)
				for !ended(m, task) {
					runtime.Gosched()
				}
				require.Equal(t, core.Stats{Created: n + 1, Failed: n + 1}, counts(m))
				require.Equal(t, core.Failed, task.Outcome())
				require.Equal(t, errTask, task.Err())
			}
		})
	}
}

// Done may never be asked for, or only after the task has ended.
func TestDoneMayBeAskedForAtAnyTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		task := m.Go(t.Context(), "done", ignore(time.Second))
		before := task.Done()
		require.NotNil(t, before)
		require.NoError(t, task.Wait(t.Context()))
		<-before
		<-task.Done()

		ended := m.Go(t.Context(), "done", fail)
		synctest.Wait()
		<-ended.Done()
		require.ErrorIs(t, ended.Wait(t.Context()), errTask)
	})
}

func TestManyWaitersOfOneTask(t *testing.T) {
	m := newManager()
	for range 100 {
		task := m.Go(t.Context(), "x", fail)
		var waiters sync.WaitGroup
		for range 8 {
			waiters.Go(func() {
				assert.Equal(t, errTask, task.Wait(context.Background()))
				assert.Equal(t, core.Failed, task.Outcome())
				<-task.Done()
				_ = task.Info()
				_ = task.StartedAt()
				task.Cancel()
			})
		}
		waiters.Wait()
	}
}

func TestErrorOfATaskIsWhatItReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		errs := []error{errTask, errors.Join(errTask, context.Canceled), &core.PanicError{Value: 1}}
		m := newManager()
		for _, want := range errs {
			task := m.Go(t.Context(), "fails", func(context.Context) error { return want })
			got := task.Wait(t.Context())
			require.Equal(t, want, got)
			require.Equal(t, core.Failed, task.Outcome())
		}
	})
}
