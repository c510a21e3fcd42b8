package core_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The chain.

func TestChainIsCalledInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var notes journal
		m := newManager(
			core.WithMiddleware(spawnAndRun("a", &notes, nil), spawnAndRun("b", &notes, nil)),
			core.WithMiddleware(),
			core.WithMiddleware(spawnAndRun("c", &notes, nil)))
		task := m.Go(t.Context(), "x", func(context.Context) error { notes.add("fn"); return nil })
		require.Equal(t, []string{"spawn a", "spawn b", "spawn c"}, notes.all()[:3], "before Go returns")
		requireEnds(t, task)
		require.Equal(t, []string{
			"spawn a", "spawn b", "spawn c",
			"run a", "run b", "run c", "fn", "end c", "end b", "end a",
		}, notes.all())
	})
}

// What a Spawn puts into the context is there for the later Spawns, and for the run.
func TestContextFlowsThroughTheChain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var notes journal
		look := spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
			assert.Equal(t, "request", ctx.Value(key("k")))
			assert.Equal(t, "begun", ctx.Value(key("a")), "of the Spawn before")
			assert.NoError(t, ctx.Err(), "without the spawner's cancellation")
			assert.Nil(t, ctx.Done())
			_, limited := ctx.Deadline()
			assert.False(t, limited)
			assert.Equal(t, "x", task.Name())
			assert.EqualValues(t, 1, task.ID())
			assert.Equal(t, time.Minute, task.Timeout())
			assert.True(t, task.StartedAt().IsZero())
			return ctx
		})
		run := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			assert.Equal(t, "begun", ctx.Value(key("a")))
			assert.False(t, task.StartedAt().IsZero())
			_, limited := ctx.Deadline()
			assert.True(t, limited, "the task's own timeout is around it")
			inside, _ := core.TaskFromContext(ctx)
			assert.Same(t, task, inside)
			return next(context.WithValue(ctx, key("inner"), 1), task)
		})
		m := newManager(core.WithMiddleware(spawnAndRun("a", &notes, nil), look, run))
		request, cancel := context.WithTimeout(context.WithValue(t.Context(), key("k"), "request"), time.Second)
		cancel()
		task := m.Go(request, "x", func(ctx context.Context) error {
			assert.Equal(t, "begun", ctx.Value(key("a")))
			assert.Equal(t, 1, ctx.Value(key("inner")))
			return nil
		}, core.WithTimeout(time.Minute))
		assertOutcome(t, core.Completed, task)
	})
}

func TestWrapIsCalledOnceByNew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		wraps := 0
		m := newManager(core.WithMiddleware(core.MiddlewareFunc(func(next core.Handler) core.Handler {
			wraps++
			return next
		})))
		require.Equal(t, 1, wraps)
		for range 3 {
			m.Go(t.Context(), "x", succeed)
		}
		require.NoError(t, m.Close())
		require.Equal(t, 1, wraps)
	})
}

// One Middleware may serve several managers, and be in a chain twice.
func TestMiddlewareMayBeShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var runs atomic.Int32
		count := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			runs.Add(1)
			return next(ctx, task)
		})
		for range 2 {
			m := newManager(core.WithMiddleware(count, count))
			m.Go(t.Context(), "x", succeed)
			require.NoError(t, m.Wait(t.Context()))
		}
		require.EqualValues(t, 4, runs.Load())
	})
}

// A retry outside calls what is inside it once for each attempt; the task is still one.
func TestRetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var notes journal
		retry := around(func(ctx context.Context, task *core.Task, next core.Handler) (err error) {
			for range 3 {
				if err = next(ctx, task); err == nil {
					return nil
				}
			}
			return err
		})
		m := newManager(core.WithMiddleware(retry, spawnAndRun("a", &notes, nil)))
		task := m.Go(t.Context(), "x", failsTimes(2))
		assertOutcome(t, core.Completed, task)
		require.Equal(t, []string{"spawn a", "run a", "end a", "run a", "end a", "run a", "end a"}, notes.all())

		task = m.Go(t.Context(), "x", failsThen(1, explode))
		assertOutcome(t, core.Failed, task)
		var panicked *core.PanicError
		require.ErrorAs(t, task.Err(), &panicked, "the error of the last attempt")
		require.Equal(t, core.Stats{Created: 2, Completed: 1, Failed: 1}, counts(m))
	})
}

// A circuit breaker may not call at all.
func TestMiddlewareThatDoesNotCallNext(t *testing.T) {
	errOpen := errors.New("circuit open")
	for want, err := range map[core.Outcome]error{core.Failed: errOpen, core.Completed: nil} {
		inBubble(t, want.String(), func(t *testing.T) {
			m := newManager(core.WithMiddleware(around(func(context.Context, *core.Task, core.Handler) error { return err })))
			task := m.Go(t.Context(), "x", func(context.Context) error {
				assert.Fail(t, "Func was called")
				return nil
			})
			assertOutcome(t, want, task)
			require.Equal(t, err, task.Err())
		})
	}
}

// A middleware may start tasks of its own, such as an audit of each.
func TestMiddlewareMayStartTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m *core.Manager
		m = newManager(core.WithLimit(1, -1), core.WithMiddleware(
			spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
				if task.Name() == "x" {
					m.Go(ctx, "from Spawn", succeed)
				}
				return ctx
			}),
			around(func(ctx context.Context, task *core.Task, next core.Handler) error {
				if task.Name() == "x" {
					defer m.Go(ctx, "from the run", succeed)
				}
				return next(ctx, task)
			})))
		m.Go(t.Context(), "x", succeed)
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, core.Stats{Created: 3, Completed: 3}, counts(m))
	})
}

func TestMiddlewareFuncLeavesTheSpawnAlone(t *testing.T) {
	f := core.MiddlewareFunc(func(next core.Handler) core.Handler { return next })
	require.Nil(t, f.Spawn)
	ctx, called := t.Context(), false
	h := f.Wrap(func(context.Context, *core.Task) error { called = true; return errTask })
	require.Equal(t, errTask, h(ctx, core.NewTask("x")))
	require.True(t, called)
}
