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

// Group and Attached: tasks that end with the context that they were started with.

var errRequest = errors.New("the client has gone")

func TestAttachedTaskIsCancelledWithItsContext(t *testing.T) {
	for name, limit := range map[string]core.Option{
		"running": core.WithLimit(0, 0),
		"queued":  core.WithLimit(1, 1),
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(limit)
			if name == "queued" {
				m.Go(t.Context(), "first", ignore(time.Minute))
			}
			request, cancel := context.WithCancelCause(t.Context())
			var cause error
			task := m.Go(request, "attached", func(ctx context.Context) error {
				<-ctx.Done()
				cause = context.Cause(ctx)
				return ctx.Err()
			}, core.Attached())
			time.Sleep(time.Second)
			require.Equal(t, core.Pending, task.Outcome())
			cancel(errRequest)
			synctest.Wait()
			require.Equal(t, core.Cancelled, task.Outcome(), "and not failed")
			if name == "queued" {
				require.Equal(t, errRequest, task.Err())
				require.True(t, task.StartedAt().IsZero())
				require.Equal(t, core.Pending, m.Go(t.Context(), "next", succeed).Outcome(), "its place is free")
			} else {
				require.Equal(t, errRequest, cause)
			}
			require.NoError(t, m.Wait(t.Context()))
		})
	}
	inBubble(t, "a context that is done already", func(t *testing.T) {
		task := newManager().Go(over, "attached", obey, core.Attached())
		assertOutcome(t, core.Cancelled, task)
	})
	inBubble(t, "a deadline of the context", func(t *testing.T) {
		task := newManager().Go(seconds(t, time.Second), "attached", obey, core.Attached(), core.WithTimeout(time.Minute))
		assertOutcome(t, core.Cancelled, task)
		require.Equal(t, time.Second, time.Since(task.CreatedAt()))
	})
	inBubble(t, "its own timeout comes first", func(t *testing.T) {
		task := newManager().Go(seconds(t, time.Minute), "attached", obey, core.Attached(), core.WithTimeout(time.Second))
		assertOutcome(t, core.TimedOut, task)
	})
	inBubble(t, "it ends before its context", func(t *testing.T) {
		request, cancel := context.WithCancel(t.Context())
		m := newManager()
		task := m.Go(request, "attached", fail, core.Attached())
		assertOutcome(t, core.Failed, task)
		cancel()
		synctest.Wait()
		require.Equal(t, core.Failed, task.Outcome())
		require.NoError(t, m.Close())
	})
}

func TestCauseOfAnAttachedTaskIsLogged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		request, cancel := context.WithCancel(t.Context())
		task := m.Go(request, "attached", obey, core.Attached())
		cancel()
		requireEnds(t, task)
		require.Equal(t, "context", log.only(t, msgCancelled).task()["cause"])
	})
}

// The context given to Go may be another task's. Its timeout is not this task's, nor is a shutdown of its manager.
func TestCauseOfTheContextIsNotTheTasksOwn(t *testing.T) {
	for name, end := range map[string]func(*core.Manager, *core.Task){
		"timeout":  func(*core.Manager, *core.Task) { time.Sleep(time.Minute) },
		"cancel":   func(_ *core.Manager, outer *core.Task) { outer.Cancel() },
		"shutdown": func(outers *core.Manager, _ *core.Task) { _ = outers.Close() },
	} {
		for where, limit := range map[string]core.Option{"running": core.WithLimit(0, 0), "queued": core.WithLimit(1, 1)} {
			inBubble(t, name+" "+where, func(t *testing.T) {
				var log logbook
				outers, inners := newManager(), core.New(log.option(), limit)
				if where == "queued" {
					defer inners.Go(t.Context(), "first", obey).Cancel()
				}
				var inner *core.Task
				outer := outers.Go(t.Context(), "outer", func(ctx context.Context) error {
					inner = inners.Go(ctx, "inner", obey, core.Attached())
					return obey(ctx)
				}, core.WithTimeout(time.Minute))
				synctest.Wait()
				end(outers, outer)
				synctest.Wait()
				require.Equal(t, core.Cancelled, inner.Outcome())
				require.Equal(t, core.Cancelled, inner.OutcomeOf(inner.Err()))
				require.Equal(t, "context", log.only(t, msgCancelled).task()["cause"])
			})
		}
	}
	inBubble(t, "its own timeout came first", func(t *testing.T) {
		m := newManager()
		g := m.Group(t.Context())
		g.Go("later", func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }, core.WithTimeout(2*time.Second))
		task := g.Go("first", ignoreAndFail(3*time.Second), core.WithTimeout(time.Second))
		require.ErrorIs(t, g.Wait(), core.ErrTimeout)
		require.Equal(t, core.TimedOut, task.Outcome())
	})
	inBubble(t, "a cause that would be a refusal", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		first := m.Go(t.Context(), "first", obey)
		request, cancel := context.WithCancelCause(t.Context())
		task := m.Go(request, "queued", succeed, core.Attached())
		cancel(core.ErrFull)
		assertOutcome(t, core.Cancelled, task)
		first.Cancel()
	})
}

func TestGroup(t *testing.T) {
	inBubble(t, "waits for all", func(t *testing.T) {
		m := newManager()
		g := m.Group(context.WithValue(t.Context(), key("k"), "v"))
		for i := range 5 {
			g.Go("x", func(ctx context.Context) error {
				assert.Equal(t, "v", ctx.Value(key("k")))
				return during(time.Duration(i) * time.Second)(ctx)
			})
		}
		begin := time.Now()
		require.NoError(t, g.Wait())
		require.Equal(t, 4*time.Second, time.Since(begin))
		require.NoError(t, g.Wait(), "again is fine")
	})
	inBubble(t, "the first error cancels the others", func(t *testing.T) {
		m := newManager(core.WithLimit(2, -1))
		g := m.Group(t.Context())
		running := g.Go("running", func(ctx context.Context) error {
			<-ctx.Done()
			assert.Equal(t, errTask, context.Cause(ctx))
			return ctx.Err()
		})
		failed := g.Go("fails", ignoreAndFail(time.Second))
		queued := g.Go("queued", func(context.Context) error { assert.Fail(t, "called"); return nil })
		require.Equal(t, errTask, g.Wait())
		require.Equal(t, core.Failed, failed.Outcome())
		require.Equal(t, core.Cancelled, running.Outcome())
		require.Equal(t, core.Cancelled, queued.Outcome())
	})
	inBubble(t, "a refusal is an error", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 0))
		g := m.Group(t.Context())
		first := g.Go("first", obey)
		require.Equal(t, core.Rejected, g.Go("second", succeed).Outcome())
		require.ErrorIs(t, g.Wait(), core.ErrFull)
		require.Equal(t, core.Cancelled, first.Outcome())
	})
	inBubble(t, "Cancel", func(t *testing.T) {
		m := newManager()
		g := m.Group(t.Context())
		task := g.Go("x", func(ctx context.Context) error {
			<-ctx.Done()
			assert.ErrorIs(t, context.Cause(ctx), core.ErrCancelled)
			return ctx.Err()
		})
		other := m.Go(t.Context(), "other", ignore(time.Second))
		g.Cancel()
		require.ErrorIs(t, g.Wait(), context.Canceled)
		require.Equal(t, core.Cancelled, task.Outcome())
		assertOutcome(t, core.Completed, other)
	})
	inBubble(t, "the end of its context", func(t *testing.T) {
		g := newManager().Group(seconds(t, time.Second))
		task := g.Go("x", obey)
		require.ErrorIs(t, g.Wait(), context.Canceled)
		require.Equal(t, core.Cancelled, task.Outcome())
	})
	inBubble(t, "its tasks may start more", func(t *testing.T) {
		g := newManager().Group(t.Context())
		ran := 0
		g.Go("outer", func(context.Context) error {
			g.Go("inner", func(context.Context) error { time.Sleep(time.Second); ran++; return nil })
			return nil
		})
		require.NoError(t, g.Wait())
		require.Equal(t, 1, ran)
	})
	inBubble(t, "after Wait no Func has a live context", func(t *testing.T) {
		g := newManager().Group(t.Context())
		require.NoError(t, g.Wait())
		task := g.Go("late", func(ctx context.Context) error { return ctx.Err() })
		assertOutcome(t, core.Cancelled, task)
	})
	inBubble(t, "a panic", func(t *testing.T) {
		g := newManager().Group(t.Context())
		g.Go("x", explode)
		var panicked *core.PanicError
		require.ErrorAs(t, g.Wait(), &panicked)
	})
}

// The others hear of the first error before the group's Wait does. Theirs must not be taken for it.
func TestFirstErrorOfAGroupIsThatOfTheTaskThatFailed(t *testing.T) {
	for range 1000 {
		m := newManager()
		g := m.Group(t.Context())
		for range 8 {
			g.Go("obeys", obey)
		}
		g.Go("fails", fail)
		require.Equal(t, errTask, g.Wait())
		require.NoError(t, m.Close())
	}
}

// While Shutdown drains, a task of a group can start others, so that work in flight can finish its
// follow-ups. A group that has none is a stranger.
func TestGroupInADrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		g, idle := m.Group(t.Context()), m.Group(t.Context())
		var followUp, stranger *core.Task
		first := g.Go("first", func(context.Context) error {
			time.Sleep(time.Second)
			followUp, stranger = g.Go("follow-up", succeed), idle.Go("stranger", succeed)
			return nil
		})
		synctest.Wait()
		stats, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, stats.SpawnedTasks)
		assertOutcome(t, core.Completed, first)
		assertOutcome(t, core.Completed, followUp)
		require.ErrorIs(t, stranger.Err(), core.ErrClosed)
		require.NoError(t, g.Wait())
	})
	inBubble(t, "after the drain", func(t *testing.T) {
		m := newManager()
		g := m.Group(t.Context())
		var followUp *core.Task
		g.Go("deaf", func(context.Context) error {
			time.Sleep(time.Minute)
			followUp = g.Go("follow-up", succeed)
			return nil
		})
		synctest.Wait()
		_, err := m.Shutdown(t.Context())
		require.Error(t, err)
		require.ErrorIs(t, g.Wait(), core.ErrClosed)
		require.ErrorIs(t, followUp.Err(), core.ErrClosed)
	})
}

// A Go that does not return a task is none of the group's.
func TestGroupDoesNotWaitForWhatWasNotStarted(t *testing.T) {
	inBubble(t, "a panic", func(t *testing.T) {
		g := newManager().Group(t.Context())
		require.Panics(t, func() { g.Go("x", nil) })
		require.Panics(t, func() { g.Go("x", succeed, core.WithKey(nil, "k")) })
		require.NoError(t, g.Wait())
	})
	inBubble(t, "Goexit in a hook", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 0), core.WithMiddleware(core.Middleware{
			Refused: func(context.Context, *core.Task) { runtime.Goexit() },
		}))
		g := m.Group(t.Context())
		first := g.Go("first", obey)
		go g.Go("refused", succeed)
		require.ErrorIs(t, g.Wait(), core.ErrFull)
		require.Equal(t, core.Cancelled, first.Outcome())
	})
}
