package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promise 7: Shutdown drains, then cancels, and returns in time whatever the tasks do.

func TestShutdownDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(2, -1))
		for range 6 { // three rounds
			m.Go(t.Context(), "x", func(ctx context.Context) error {
				time.Sleep(time.Second)
				return ctx.Err()
			})
		}
		begin := time.Now()
		stats, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(begin), "as soon as the last has ended")
		require.Equal(t, core.ShutdownStats{
			Status: "completed", InitialTasks: 6, CompletedTasks: 6, Duration: 3 * time.Second,
		}, stats, "nothing was cancelled")
	})
}

// Each task is in exactly one of the figures; what ended before is in none.
func TestShutdownStatsCountEachOutcome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		m.Go(t.Context(), "before", fail)
		require.NoError(t, m.Wait(t.Context()))
		for range 4 {
			m.Go(t.Context(), "completes", ignore(time.Second))
		}
		for range 3 {
			m.Go(t.Context(), "fails", ignoreAndFail(time.Second))
		}
		for range 2 {
			m.Go(t.Context(), "times_out", obey, core.WithTimeout(time.Second))
		}
		cancelled := m.Go(t.Context(), "cancelled", obey)
		time.AfterFunc(time.Second, cancelled.Cancel)
		stats, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.Equal(t, core.ShutdownStats{
			Status: "completed", InitialTasks: 10, CompletedTasks: 4, FailedTasks: 3, TimedOutTasks: 2, CancelledTasks: 1, Duration: time.Second,
		}, stats)
		requireAccounted(t, stats)
	})
}

func TestShutdownOfAnIdleManager(t *testing.T) {
	for name, ctx := range map[string]context.Context{"in time": context.Background(), "with a context that is over": over} {
		inBubble(t, name, func(t *testing.T) {
			stats, err := newManager().Shutdown(ctx)
			require.NoError(t, err)
			require.Equal(t, core.ShutdownStats{Status: "completed"}, stats)
		})
	}
}

// The grace is how long before its bound it cancels; half of the time that there is at most.
func TestShutdownCancelsBeforeItsBound(t *testing.T) {
	for _, tc := range []struct {
		name     string
		opts     []core.Option
		deadline time.Duration // 0: none
		cancel   time.Duration // when the tasks are cancelled
	}{
		{name: "no deadline", cancel: 25 * time.Second},
		{name: "no deadline, a timeout of its own", opts: []core.Option{core.WithShutdownTimeout(time.Minute)}, cancel: 55 * time.Second},
		{name: "a deadline", deadline: 20 * time.Second, cancel: 15 * time.Second},
		{name: "a deadline beyond the timeout", deadline: time.Hour, cancel: time.Hour - 5*time.Second},
		{name: "just double the grace", deadline: 10 * time.Second, cancel: 5 * time.Second},
		{name: "less", deadline: 4 * time.Second, cancel: 2 * time.Second},
		{name: "a grace of its own", opts: []core.Option{core.WithCancelGrace(time.Second)}, deadline: 10 * time.Second, cancel: 9 * time.Second},
		{name: "a grace beyond half", opts: []core.Option{core.WithCancelGrace(time.Hour)}, deadline: 10 * time.Second, cancel: 5 * time.Second},
		{name: "half of the timeout", opts: []core.Option{core.WithShutdownTimeout(2 * time.Second)}, cancel: time.Second},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			m := newManager(tc.opts...)
			begin := time.Now()
			var cancelled time.Duration
			task := m.Go(t.Context(), "obedient", func(ctx context.Context) error {
				<-ctx.Done()
				cancelled = time.Since(begin)
				assert.Equal(t, core.ErrShutdown, context.Cause(ctx))
				time.Sleep(time.Millisecond) // it takes leave
				return ctx.Err()
			})
			ctx := context.Background()
			if tc.deadline > 0 {
				ctx = seconds(t, tc.deadline)
			}
			stats, err := m.Shutdown(ctx)
			require.ErrorContains(t, err, "obedient")
			require.Equal(t, tc.cancel, cancelled)
			require.Equal(t, tc.cancel+time.Millisecond, time.Since(begin))
			require.Equal(t, core.Cancelled, task.Outcome())
			require.Equal(t, core.ShutdownStats{
				Status: "cancelled", InitialTasks: 1, CancelledTasks: 1, Duration: tc.cancel + time.Millisecond,
			}, stats)
		})
	}
}

func TestShutdownWithoutGraceDrainsToTheVeryEnd(t *testing.T) {
	for _, grace := range []time.Duration{0, -time.Second} {
		inBubble(t, fmt.Sprint(grace), func(t *testing.T) {
			m := newManager(core.WithCancelGrace(grace))
			last := m.Go(t.Context(), "last", during(10*time.Second-time.Millisecond))
			deaf := m.Go(t.Context(), "deaf", ignore(time.Hour))
			begin := time.Now()
			stats, err := m.Shutdown(seconds(t, 10*time.Second))
			require.Error(t, err)
			require.Equal(t, 10*time.Second, time.Since(begin))
			require.Equal(t, core.Completed, last.Outcome())
			require.Equal(t, "cancelling", deaf.Info().State)
			require.Equal(t, 1, stats.RemainingTasks)
			assertOutcome(t, core.Completed, deaf)
		})
	}
}

// A second signal, say: who is waiting gives up.
func TestShutdownWhoseContextIsCancelled(t *testing.T) {
	errImpatient := errors.New("second SIGTERM")
	for name, after := range map[string]time.Duration{"during the drain": 3 * time.Second, "before it began": 0} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithLimit(1, 1))
			obedient := m.Go(t.Context(), "obedient", obey)
			queued := m.Go(t.Context(), "queued", succeed)
			ctx, cancel := context.WithCancelCause(t.Context())
			if after == 0 {
				cancel(errImpatient)
			} else {
				time.AfterFunc(after, func() { cancel(errImpatient) })
			}
			begin := time.Now()
			stats, err := m.Shutdown(ctx)
			require.Equal(t, after, time.Since(begin), "it returns at once")
			requireAccounted(t, stats)
			if err != nil { // the tasks may or may not have been faster
				require.ErrorIs(t, err, context.Canceled)
				require.NotErrorIs(t, err, context.DeadlineExceeded)
			}
			synctest.Wait()
			require.Equal(t, core.Cancelled, obedient.Outcome(), "it has cancelled them all the same")
			require.Equal(t, core.ErrShutdown, queued.Err())
			stats, err = m.Shutdown(t.Context())
			require.ErrorContains(t, err, "obedient")
			require.Equal(t, 2, stats.CancelledTasks)
		})
	}
}

func TestShutdownReturnsInTimeWhateverTheTasksDo(t *testing.T) {
	for name, tc := range map[string]struct {
		call  func(*core.Manager) (core.ShutdownStats, error)
		bound time.Duration
	}{
		"Shutdown with a deadline": {func(m *core.Manager) (core.ShutdownStats, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 12*time.Second)
			defer cancel()
			return m.Shutdown(ctx)
		}, 12 * time.Second},
		"Shutdown without": {func(m *core.Manager) (core.ShutdownStats, error) {
			return m.Shutdown(context.Background())
		}, 30 * time.Second},
		"Close": {func(m *core.Manager) (core.ShutdownStats, error) {
			err := m.Close()
			var left *core.ShutdownError
			errors.As(err, &left)
			return left.Stats, err
		}, 30 * time.Second},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager()
			m.Go(t.Context(), "obedient", obey)
			time.Sleep(time.Second)
			m.Go(t.Context(), "deaf", ignore(time.Hour))
			m.Go(t.Context(), "deaf_and_failing", ignoreAndFail(2*time.Hour), core.WithTimeout(time.Minute))
			begin := time.Now()
			stats, err := tc.call(m)
			require.Equal(t, tc.bound, time.Since(begin))
			require.Equal(t, core.ShutdownStats{
				Status: "timeout", InitialTasks: 3, CancelledTasks: 1, RemainingTasks: 2, Duration: tc.bound,
			}, stats)

			require.ErrorIs(t, err, context.DeadlineExceeded)
			var left *core.ShutdownError
			require.ErrorAs(t, err, &left)
			require.Equal(t, stats, left.Stats)
			require.Len(t, left.Remaining, 2)
			for i, name := range []string{"deaf", "deaf_and_failing"} {
				require.Equal(t, name, left.Remaining[i].Name)
				require.EqualValues(t, i+2, left.Remaining[i].ID)
				require.Equal(t, "cancelling", left.Remaining[i].State)
				require.Equal(t, tc.bound, left.Remaining[i].Age)
				require.ErrorContains(t, err, name)
			}

			// A later call waits, within its own bound, and tells what became of them.
			time.Sleep(time.Hour - tc.bound)
			stats, err = m.Shutdown(seconds(t, time.Minute))
			require.Error(t, err)
			require.Equal(t, core.ShutdownStats{
				Status: "already_shutdown", InitialTasks: 3, CompletedTasks: 1, CancelledTasks: 1, RemainingTasks: 1, Duration: time.Minute,
			}, stats)
			stats, err = m.Shutdown(seconds(t, 2*time.Hour))
			require.ErrorAs(t, err, &left)
			require.Equal(t, []string{"obedient", "deaf_and_failing"}, namesOf(left.Cancelled))
			require.Empty(t, left.Remaining)
			require.Equal(t, core.ShutdownStats{
				Status: "already_shutdown", InitialTasks: 3, CompletedTasks: 1, CancelledTasks: 2, Duration: 59 * time.Minute,
			}, stats)
		})
	}
}

// Work in flight can finish its follow-ups, and they theirs; until the cancel began.
func TestNestedTasksWhileItDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		begin := time.Now()
		var kept context.Context
		late := func(ctx context.Context) error {
			<-ctx.Done() // at 25 s
			assert.Equal(t, core.ErrClosed, m.Go(ctx, "too_late", succeed).Err())
			time.Sleep(time.Second)
			assert.Equal(t, core.ErrClosed, m.Go(ctx, "too_late", succeed).Err())
			return ctx.Err()
		}
		m.Go(t.Context(), "outer", func(ctx context.Context) error {
			kept = ctx
			time.Sleep(10 * time.Second)
			assert.Equal(t, core.ErrClosed, m.Go(context.Background(), "from_outside", succeed).Err())
			assert.Equal(t, core.Pending, m.Go(ctx, "nested", func(ctx context.Context) error {
				time.Sleep(10 * time.Second)
				assert.Equal(t, core.ErrClosed, m.Go(kept, "of_one_that_ended", succeed).Err())
				assert.Equal(t, core.Pending, m.Go(context.WithoutCancel(ctx), "nested_again", late).Outcome())
				return nil
			}).Outcome())
			return nil
		})
		stats, err := m.Shutdown(t.Context())
		require.ErrorContains(t, err, "nested_again")
		require.Equal(t, 26*time.Second, time.Since(begin))
		require.Equal(t, core.ShutdownStats{
			Status: "cancelled", InitialTasks: 1, SpawnedTasks: 2, CompletedTasks: 2, CancelledTasks: 1, Duration: 26 * time.Second,
		}, stats)
		requireAccounted(t, stats)
		require.EqualValues(t, 4, m.Stats().Rejected)
	})
}

// A task of another manager is not one of its own running tasks.
func TestTaskOfAnotherManagerIsRefusedWhileItDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, other := newManager(), newManager()
		m.Go(t.Context(), "in_flight", ignore(time.Minute))
		task := other.Go(t.Context(), "foreign", func(ctx context.Context) error {
			time.Sleep(time.Second)
			return m.Go(ctx, "x", succeed).Err()
		})
		_, err := m.Shutdown(seconds(t, time.Hour))
		require.NoError(t, err)
		require.Equal(t, core.ErrClosed, task.Err())
	})
}

func TestClose(t *testing.T) {
	inBubble(t, "cancels at once", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		running := m.Go(t.Context(), "running", func(ctx context.Context) error {
			<-ctx.Done()
			assert.Equal(t, core.ErrClosed, m.Go(ctx, "nested", succeed).Err())
			return context.Cause(ctx)
		})
		queued := m.Go(t.Context(), "queued", succeed)
		begin := time.Now()
		require.NoError(t, m.Close())
		require.Equal(t, begin, time.Now())
		require.Equal(t, core.ErrShutdown, running.Err())
		require.Equal(t, core.ErrShutdown, queued.Err())
		require.Equal(t, core.Stats{Created: 3, Cancelled: 2, Rejected: 1}, counts(m))
		require.NoError(t, m.Close(), "again is fine")
		require.NoError(t, m.Close())
	})
	inBubble(t, "waits up to the shutdown timeout", func(t *testing.T) {
		m := newManager(core.WithShutdownTimeout(10 * time.Second))
		m.Go(t.Context(), "deaf", ignore(15*time.Second))
		begin := time.Now()
		require.ErrorIs(t, m.Close(), context.DeadlineExceeded)
		require.Equal(t, 10*time.Second, time.Since(begin))
		require.NoError(t, m.Close(), "a later one waits for what remains")
		require.Equal(t, 15*time.Second, time.Since(begin))
	})
	for _, timeout := range []time.Duration{0, -time.Second} {
		inBubble(t, fmt.Sprintf("with a timeout of %v does not wait", timeout), func(t *testing.T) {
			m := newManager(core.WithShutdownTimeout(timeout))
			task := m.Go(t.Context(), "deaf", ignore(time.Minute))
			begin := time.Now()
			require.Error(t, m.Close())
			require.Equal(t, begin, time.Now())
			require.Equal(t, "cancelling", task.Info().State)
			requireEnds(t, task)
		})
	}
	inBubble(t, "cuts short a drain that is under way", func(t *testing.T) {
		m := newManager()
		task := m.Go(t.Context(), "obedient", obey)
		time.AfterFunc(time.Second, func() { assert.NoError(t, m.Close()) })
		begin := time.Now()
		stats, err := m.Shutdown(t.Context())
		require.ErrorContains(t, err, "obedient", "whoever cut it short")
		require.Equal(t, time.Second, time.Since(begin))
		require.Equal(t, core.ShutdownStats{Status: "cancelled", InitialTasks: 1, CancelledTasks: 1, Duration: time.Second}, stats)
		require.Equal(t, core.Cancelled, task.Outcome())
	})
}

// A later Shutdown does not hurry the first: it may have less time.
func TestLaterShutdownDoesNotCutTheDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		task := m.Go(t.Context(), "x", during(20*time.Second))
		go func() {
			time.Sleep(time.Second)
			stats, err := m.Shutdown(seconds(t, 2*time.Second))
			assert.Equal(t, core.ShutdownStats{Status: "already_shutdown", InitialTasks: 1, RemainingTasks: 1, Duration: 2 * time.Second}, stats)
			var left *core.ShutdownError
			assert.ErrorAs(t, err, &left)
			assert.Equal(t, "running", task.Info().State)
		}()
		stats, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, stats.CompletedTasks)
		require.Equal(t, 20*time.Second, stats.Duration)
	})
}

func TestConcurrentShutdowns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		for range 10 {
			m.Go(t.Context(), "x", ignore(time.Second))
		}
		results := make(chan string, 10)
		for range 10 {
			go func() {
				stats, err := m.Shutdown(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, 10, stats.CompletedTasks, "each waits for all")
				results <- stats.Status
			}()
		}
		status := map[string]int{}
		for range 10 {
			status[<-results]++
		}
		require.Equal(t, map[string]int{"completed": 1, "already_shutdown": 9}, status)
	})
}

func TestShutdownStatsAsJSON(t *testing.T) {
	stats := core.ShutdownStats{
		Status: "timeout", InitialTasks: 1, SpawnedTasks: 2, CompletedTasks: 3, FailedTasks: 4,
		CancelledTasks: 5, TimedOutTasks: 6, RejectedTasks: 8, RemainingTasks: 7, Duration: 1500 * time.Millisecond,
	}
	for _, v := range []any{stats, &stats} {
		out, err := json.Marshal(v)
		require.NoError(t, err)
		require.JSONEq(t, `{"status":"timeout","initial_tasks":1,"spawned_tasks":2,"completed_tasks":3,"failed_tasks":4,
			"cancelled_tasks":5,"timed_out_tasks":6,"rejected_tasks":8,"remaining_tasks":7,"duration_seconds":1.5}`, string(out))
	}
}
