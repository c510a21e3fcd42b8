package core_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// A middleware may stop waiting for next, as one with a hard limit does, and leave a goroutine behind
// that still calls the Func.

// abandon is such a middleware: it waits until ctx is done, or for d.
func abandon(d time.Duration) core.Middleware {
	return around(func(ctx context.Context, task *core.Task, next core.Handler) error {
		result := make(chan error, 1)
		go func() { result <- next(ctx, task) }()
		select {
		case err := <-result:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return errTask
		}
	})
}

// The chain has decided the outcome. The task is there until its Func has returned, too: nothing
// of it is left when it is done, and the limit holds.
func TestTaskEndsAfterItsChainAndItsFunc(t *testing.T) {
	for name, tc := range map[string]struct {
		wait time.Duration // of the middleware
		fn   core.Func
		want core.Outcome
		err  error
	}{
		"nil":                     {time.Hour, ignore(time.Minute), core.TimedOut, context.DeadlineExceeded},
		"error":                   {time.Hour, ignoreAndFail(time.Minute), core.TimedOut, context.DeadlineExceeded},
		"panic":                   {time.Hour, after(60, explode), core.TimedOut, context.DeadlineExceeded},
		"Goexit":                  {time.Hour, after(60, func(context.Context) error { runtime.Goexit(); return nil }), core.TimedOut, context.DeadlineExceeded},
		"given up before":         {time.Second, ignore(time.Minute), core.Failed, errTask},
		"given up, then obedient": {time.Second, func(ctx context.Context) error { <-ctx.Done(); time.Sleep(59 * time.Second); return ctx.Err() }, core.Failed, errTask},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithLimit(1, 1), core.WithMiddleware(abandon(tc.wait)))
			begin := time.Now()
			var inside context.Context
			task := m.Go(t.Context(), "x", func(ctx context.Context) error { inside = ctx; return tc.fn(ctx) }, core.WithTimeout(limit))
			next := m.Go(t.Context(), "next", succeed)
			time.Sleep(limit + time.Second)
			synctest.Wait()
			require.True(t, isDone(inside), "its context is over with the chain")
			require.Equal(t, core.Pending, task.Outcome())
			require.Equal(t, core.Stats{Created: 2, Running: 1, Queued: 1}, counts(m), "it keeps its slot")

			requireEnds(t, task)
			require.Equal(t, time.Minute, time.Since(begin))
			require.Equal(t, tc.want.String(), task.Outcome().String())
			require.Equal(t, tc.err, task.Err())
			assertOutcome(t, core.Completed, next)
			require.NoError(t, m.Close())
		})
	}
}

func TestGoexitOfAFuncThatWasLeftBehindIsNoPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithMiddleware(abandon(time.Second)))
		task := m.Go(t.Context(), "x", after(2, func(context.Context) error { runtime.Goexit(); return nil }))
		requireEnds(t, task)
		l := log.only(t, "background task returned after its middleware")
		require.Equal(t, "DEBUG", l.level())
		require.Equal(t, core.ErrGoexit.Error(), l["error"])
	})
}

func TestPanicOfAFuncThatWasLeftBehindIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithMiddleware(abandon(time.Hour)))
		task := m.Go(t.Context(), "x", after(60, explode), core.WithTimeout(limit))
		assertOutcome(t, core.TimedOut, task)
		require.Len(t, log.with(t, msgTimedOut), 1, "when the chain has returned")
		l := log.lines(t)[len(log.lines(t))-1]
		require.Equal(t, "ERROR", l.level())
		require.Contains(t, l["error"], "no such template")
		require.Contains(t, l["stack"], "explode")
		require.Equal(t, "x", l.task()["name"])
	})
}

// It may come so late that the chain has returned: then the Func is not called at all.
func TestNextIsCalledTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			time.Sleep(time.Minute)
			err := next(ctx, task)
			assert.Error(t, err)
			var panicked *core.PanicError
			assert.False(t, errors.As(err, &panicked), "%v", err)
			return err
		})
		m := newManager(core.WithMiddleware(abandon(time.Hour), slow))
		task := m.Go(t.Context(), "x", func(context.Context) error {
			assert.Fail(t, "Func was called after the end of its task")
			return nil
		}, core.WithTimeout(limit))
		assertOutcome(t, core.TimedOut, task)
		time.Sleep(time.Hour)
		assertOutcome(t, core.TimedOut, task)
	})
}

// Whether the Func has begun when the middleware gives up is a matter of luck. Either way it ends once.
func TestNextIsCalledAtTheVeryMoment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithMiddleware(abandon(time.Hour)))
		for range 200 {
			task := m.Go(t.Context(), "x", obey)
			go task.Cancel()
			assertOutcome(t, core.Cancelled, task)
		}
		synctest.Wait()
		require.Equal(t, core.Stats{Created: 200, Cancelled: 200}, counts(m))
	})
}

// A shutdown counts what was left behind, and names it.
func TestShutdownWaitsForWhatWasLeftBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithMiddleware(abandon(time.Hour)))
		m.Go(t.Context(), "deaf", ignore(time.Minute))
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		require.Equal(t, 1, stats.RemainingTasks)
		require.ErrorContains(t, err, "deaf")
		stats, err = m.Shutdown(t.Context())
		require.Error(t, err)
		require.Equal(t, 1, stats.RemainingTasks)
		require.NoError(t, m.Close())
		require.Equal(t, core.Stats{Created: 1, Cancelled: 1}, counts(m))
	})
}

// Its context was cancelled when the middleware gave up, whatever for.
func TestFuncThatWasLeftBehindIsOverdue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithMiddleware(abandon(time.Second)))
		task := m.Go(t.Context(), "deaf", ignore(time.Minute))
		time.Sleep(10 * time.Second)
		assert.Equal(t, "cancelling", task.Info().State)
		assertOutcome(t, core.Failed, task)
		require.Equal(t, "deaf", log.only(t, msgOverdue).task()["name"])
	})
}
