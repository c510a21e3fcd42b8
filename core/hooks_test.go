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

// The hooks Refused, Ended and Abandoned, and tasks that a middleware refuses.

func TestRefusedIsCalledBeforeGoReturns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen journal
		m := newManager(core.WithLimit(1, 0), core.WithMiddleware(core.Middleware{
			Refused: func(ctx context.Context, task *core.Task) {
				seen.add(fmt.Sprint(task.Name(), " ", ctx.Value(key("k")), " ", task.Err() == core.ErrFull, " ", task.Outcome()))
			},
		}))
		ctx := context.WithValue(t.Context(), key("k"), "v")
		m.Go(ctx, "first", obey)
		m.Go(ctx, "second", succeed)
		require.Equal(t, []string{"second v true rejected"}, seen.all())
		require.NoError(t, m.Close())
	})
}

func TestMiddlewareRefusesATask(t *testing.T) {
	errLimit := fmt.Errorf("rate limit: %w", core.ErrRejected)
	for name, tc := range map[string]struct {
		h    func(ctx context.Context, task *core.Task, next core.Handler) error
		want core.Outcome
	}{
		"without calling next": {func(context.Context, *core.Task, core.Handler) error { return errLimit }, core.Rejected},
		"after it called next": {func(ctx context.Context, task *core.Task, next core.Handler) error {
			_ = next(ctx, task)
			return errLimit
		}, core.Failed},
	} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			var outer core.Outcome
			var refused, ended atomic.Int32
			m := core.New(log.option(), core.WithMiddleware(witness(&outer), around(tc.h), core.Middleware{
				Refused: func(context.Context, *core.Task) { refused.Add(1) },
				Ended:   func(context.Context, *core.Task) { ended.Add(1) },
			}))
			task := m.Go(t.Context(), "x", succeed)
			assertOutcome(t, tc.want, task)
			require.Equal(t, errLimit, task.Err())
			require.Equal(t, tc.want, outer, "a middleware and the manager agree")
			require.Equal(t, tc.want, task.OutcomeOf(task.Err()))
			require.EqualValues(t, 1, ended.Load())
			require.Zero(t, refused.Load(), "the manager accepted it")
			requireBalanced(t, m.Stats())
			if tc.want == core.Rejected {
				require.EqualValues(t, 1, m.Stats().Rejected)
				require.Equal(t, "WARN", log.only(t, msgRefused).level())
			}
		})
	}
	inBubble(t, "fn returns the refusal of another task", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 0))
		task := m.Go(t.Context(), "x", func(ctx context.Context) error { return m.Go(ctx, "inner", succeed).Err() })
		assertOutcome(t, core.Failed, task)
		require.ErrorIs(t, task.Err(), core.ErrRejected)
	})
	inBubble(t, "during a shutdown", func(t *testing.T) {
		m := newManager(core.WithMiddleware(around(func(context.Context, *core.Task, core.Handler) error {
			time.Sleep(time.Second)
			return errLimit
		})))
		m.Go(t.Context(), "x", succeed)
		stats, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, stats.RejectedTasks)
		requireAccounted(t, stats)
	})
}

func TestEndedSeesTheOutcome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen journal
		m := newManager(core.WithLimit(1, 1), core.WithMiddleware(core.Middleware{
			Ended: func(_ context.Context, task *core.Task) {
				select {
				case <-task.Done():
					seen.add("done before Ended")
				default:
				}
				seen.add(fmt.Sprint(task.Name(), " ", task.Outcome(), " ", task.Err() != nil))
			},
		}))
		first := m.Go(t.Context(), "first", ignoreAndFail(time.Second))
		m.Go(t.Context(), "queued", succeed).Cancel()
		requireEnds(t, first)
		require.NoError(t, m.Close())
		require.Equal(t, []string{"queued cancelled true", "first failed true"}, seen.all())
	})
}

func TestHookThatPanicsHarmsNoTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		explodes := func(context.Context, *core.Task) { panic("hook") }
		m := core.New(log.option(), core.WithLimit(1, 0), core.WithShutdownTimeout(time.Second),
			core.WithMiddleware(core.Middleware{Refused: explodes, Ended: explodes, Abandoned: explodes}))
		task := m.Go(t.Context(), "x", ignore(time.Minute))
		require.ErrorIs(t, m.Go(t.Context(), "y", succeed).Err(), core.ErrFull)
		require.Error(t, m.Close())
		assertOutcome(t, core.Completed, task)
		for _, hook := range []string{"Refused", "Ended", "Abandoned"} {
			require.Equal(t, "ERROR", log.only(t, "panic in the "+hook+" hook of a middleware").level())
		}
	})
}

// A second Shutdown with less time gives up while the first still drains. The tasks are not abandoned.
func TestAnImpatientShutdownAbandonsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithMiddleware(core.Middleware{
			Abandoned: func(context.Context, *core.Task) { assert.Fail(t, "called") },
		}))
		m.Go(t.Context(), "x", ignore(10*time.Second))
		go func() {
			_, err := m.Shutdown(seconds(t, time.Minute))
			assert.NoError(t, err)
		}()
		synctest.Wait()
		stats, err := m.Shutdown(seconds(t, time.Second))
		require.Error(t, err)
		require.Equal(t, "already_shutdown", stats.Status)
		require.Empty(t, log.with(t, msgLeftOver))
		require.NoError(t, m.Wait(t.Context()))
	})
}

// The same once the first has cancelled, and waits for the tasks to end.
func TestAnImpatientShutdownAbandonsNothingAfterTheCancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithCancelGrace(20*time.Second), core.WithMiddleware(core.Middleware{
			Abandoned: func(context.Context, *core.Task) { assert.Fail(t, "called") },
		}))
		m.Go(t.Context(), "x", ignore(50*time.Second))
		go func() {
			_, err := m.Shutdown(seconds(t, time.Minute)) // cancels after 40 s
			assert.NoError(t, err, "the task completed")
		}()
		time.Sleep(41 * time.Second)
		_, err := m.Shutdown(seconds(t, time.Second))
		require.Error(t, err)
		require.NoError(t, m.Wait(t.Context()))
	})
}

func TestHookThatCallsGoexitDoesNotKeepOthersFromBeingCalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen journal
		exits := func(context.Context, *core.Task) { runtime.Goexit() }
		notes := func(what string) func(context.Context, *core.Task) {
			return func(context.Context, *core.Task) { seen.add(what) }
		}
		m := newManager(core.WithLimit(1, 0), core.WithMiddleware(
			core.Middleware{Refused: exits, Ended: exits},
			core.Middleware{Refused: notes("refused"), Ended: notes("ended")}))
		task := m.Go(t.Context(), "x", ignoreAndFail(time.Second))
		go m.Go(t.Context(), "refused", succeed)
		assertOutcome(t, core.Failed, task)
		require.NoError(t, m.Close())
		require.Equal(t, []string{"refused", "ended"}, seen.all())
	})
}

func TestAbandoned(t *testing.T) {
	counting := func(seen *journal) core.Middleware {
		return core.Middleware{Abandoned: func(ctx context.Context, task *core.Task) {
			seen.add(fmt.Sprint(task.Name(), " ", ctx.Value(key("k"))))
		}}
	}
	inBubble(t, "once for each task that still runs", func(t *testing.T) {
		var seen journal
		m := newManager(core.WithMiddleware(counting(&seen)))
		m.Go(context.WithValue(t.Context(), key("k"), "v"), "deaf", ignore(time.Hour))
		m.Go(t.Context(), "obedient", obey)
		begin := time.Now()
		_, err := m.Shutdown(seconds(t, 10*time.Second))
		require.Error(t, err)
		require.Equal(t, 10*time.Second, time.Since(begin))
		require.Equal(t, []string{"deaf v"}, seen.all())
		_, err = m.Shutdown(seconds(t, 10*time.Second))
		require.Error(t, err)
		require.Len(t, seen.all(), 1, "not again")
		require.NoError(t, m.Wait(t.Context()))
	})
	inBubble(t, "not for a task cancelled in the queue", func(t *testing.T) {
		var seen journal
		release := make(chan struct{})
		m := newManager(core.WithLimit(1, 1), core.WithMiddleware(counting(&seen), around(
			func(ctx context.Context, task *core.Task, next core.Handler) error {
				<-release
				return next(ctx, task)
			})))
		m.Go(t.Context(), "running", obey)
		m.Go(t.Context(), "queued", obey)
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		var report *core.ShutdownError
		require.ErrorAs(t, err, &report)
		require.Equal(t, []string{"running"}, namesOf(report.Remaining))
		require.Equal(t, []string{"queued"}, namesOf(report.Cancelled))
		require.Equal(t, 1, stats.CancelledTasks)
		requireAccounted(t, stats)
		require.Equal(t, []string{"running <nil>"}, seen.all())
		require.Error(t, m.Close(), "it has still to pass its chain")
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
	inBubble(t, "a slow hook does not hold up the shutdown", func(t *testing.T) {
		var calls atomic.Int32
		m := newManager(core.WithMiddleware(core.Middleware{Abandoned: func(ctx context.Context, _ *core.Task) {
			calls.Add(1)
			<-ctx.Done() // which ends, too
			time.Sleep(time.Second)
		}}))
		for range 100 {
			m.Go(t.Context(), "deaf", ignore(time.Hour))
		}
		begin := time.Now()
		_, err := m.Shutdown(seconds(t, 10*time.Second))
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(begin), 10*time.Second+100*time.Millisecond)
		synctest.Wait()
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, calls.Load(), "none begins once the time is over")
		require.NoError(t, m.Wait(t.Context()))
	})
}

func TestPanicOf(t *testing.T) {
	inBubble(t, "a panic of another task is an ordinary error", func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		inner := m.Go(t.Context(), "inner", explode)
		outer := m.Go(t.Context(), "outer", func(ctx context.Context) error {
			return fmt.Errorf("inner: %w", inner.Wait(ctx))
		})
		assertOutcome(t, core.Failed, outer)
		_, own := inner.PanicOf(inner.Err())
		require.True(t, own)
		_, own = outer.PanicOf(outer.Err())
		require.False(t, own)
		for _, l := range log.with(t, msgFailed) {
			require.Equal(t, l.task()["name"] == "inner", l["stack"] != nil)
		}
	})
	inBubble(t, "after the timeout it is timed out", func(t *testing.T) {
		m := newManager()
		inner := m.Go(t.Context(), "inner", explode)
		outer := m.Go(t.Context(), "outer", after(2, func(ctx context.Context) error { return inner.Err() }),
			core.WithTimeout(time.Second))
		assertOutcome(t, core.TimedOut, outer)
	})
	inBubble(t, "it panics with the error of another one", func(t *testing.T) {
		m := newManager()
		inner := m.Go(t.Context(), "inner", explode)
		outer := m.Go(t.Context(), "outer", func(ctx context.Context) error { panic(inner.Wait(ctx)) })
		assertOutcome(t, core.Failed, outer)
		_, own := outer.PanicOf(outer.Err())
		require.True(t, own)
	})
	t.Run("one that a middleware made", func(t *testing.T) {
		_, own := core.NewTask("x").PanicOf(fmt.Errorf("wrapped: %w", &core.PanicError{Value: 1}))
		assert.True(t, own)
	})
}
