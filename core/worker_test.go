package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Not one of them can end before all have started.
func TestNoTaskWaitsForAnotherToEnd(t *testing.T) {
	const tasks = 2_000
	meet := func() core.Func {
		var all sync.WaitGroup
		all.Add(tasks)
		return func(context.Context) error { all.Done(); all.Wait(); return nil }
	}
	for name, spawn := range map[string]func(m *core.Manager, fn core.Func){
		"of one caller": func(m *core.Manager, fn core.Func) {
			for range tasks {
				m.Go(context.Background(), "x", fn)
			}
		},
		"of many callers": func(m *core.Manager, fn core.Func) {
			var callers sync.WaitGroup
			for range tasks {
				callers.Go(func() { m.Go(context.Background(), "x", fn) })
			}
			callers.Wait()
		},
		"each of the one before it": func(m *core.Manager, fn core.Func) {
			var next func(left int) core.Func
			next = func(left int) core.Func {
				return func(ctx context.Context) error {
					if left > 1 {
						m.Go(context.Background(), "x", next(left-1))
					}
					return fn(ctx)
				}
			}
			m.Go(context.Background(), "x", next(tasks))
		},
		"that waited for a slot": func(m *core.Manager, fn core.Func) {
			for range tasks {
				m.Go(context.Background(), "x", fn)
			}
		},
		"while others come and go": func(m *core.Manager, fn core.Func) {
			for range tasks {
				m.Go(context.Background(), "short", succeed)
				m.Go(context.Background(), "x", fn)
				m.Go(context.Background(), "gone", func(context.Context) error { runtime.Goexit(); return nil })
			}
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			var opts []core.Option
			release := make(chan struct{})
			if name == "that waited for a slot" {
				opts = append(opts, core.WithLimit(tasks, -1))
			}
			m := newManager(opts...)
			if len(opts) > 0 {
				for range tasks {
					m.Go(t.Context(), "holds a slot", until(release))
				}
			}
			spawn(m, meet())
			close(release)
			require.NoError(t, m.Wait(t.Context()))
			requireBalanced(t, m.Stats())
		})
	}
}

// A manager has no goroutine that idles: a bubble would not end with one.
func TestAnIdleManagerHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager()
		for range 10 {
			for range 100 {
				m.Go(t.Context(), "x", succeed)
			}
			require.NoError(t, m.Wait(t.Context()))
		}
	}) // and it is not closed
}

// If a goroutine is ended, another one runs the task that it would have run next.
func TestAGoroutineThatEndsLeavesTheNextTaskToAnother(t *testing.T) {
	exit := func(_ context.Context, r slog.Record) {
		if r.Level == slog.LevelError {
			runtime.Goexit()
		}
	}
	for name, tc := range map[string]struct {
		fn  core.Func
		opt core.Option
	}{
		"Goexit in a Func":               {func(context.Context) error { runtime.Goexit(); return nil }, nil},
		"a panic in a Func":              {explode, nil},
		"Goexit in the handler of a log": {fail, logTo(exit)},
		"Goexit in a method of an error": {func(context.Context) error { return exitingError{} }, nil},
		"Goexit in a middleware after next": {fail, core.WithMiddleware(around(
			func(ctx context.Context, task *core.Task, next core.Handler) error {
				if task.Name() != "x" {
					defer runtime.Goexit()
				}
				return next(ctx, task)
			}))},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithLimit(2, -1), tc.opt)
			var ran journal
			for range 50 {
				m.Go(t.Context(), "ends its goroutine", tc.fn)
				m.Go(t.Context(), "x", func(context.Context) error { ran.add("x"); return nil })
			}
			require.NoError(t, m.Wait(t.Context()))
			require.Len(t, ran.all(), 50)
			requireBalanced(t, m.Stats())
			require.EqualValues(t, 50, m.Stats().Failed)
			require.NoError(t, m.Close())
		})
	}
}

// exitingError ends the goroutine that looks at it.
type exitingError struct{}

func (exitingError) Error() string        { return "exits" }
func (exitingError) Is(target error) bool { runtime.Goexit(); return false }

// A task finds the labels of its own context on its goroutine, whatever the one before it left there.
func TestLabelsDoNotStayOnTheGoroutine(t *testing.T) {
	m := newManager(core.WithLimit(1, -1))
	seen := make(chan string, 10)
	see := func(context.Context) error { seen <- labelsOf(t, "core_test.labelsOf"); return nil }
	release := make(chan struct{})
	pprof.Do(t.Context(), pprof.Labels("route", "/a"), func(ctx context.Context) {
		m.Go(ctx, "first", until(release))
		m.Go(ctx, "of a request", see)
		m.Go(ctx, "sets its own", func(ctx context.Context) error {
			pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels("step", "2")))
			return see(ctx)
		})
	})
	m.Go(t.Context(), "none", see)
	m.Go(t.Context(), "its own, and exits", func(ctx context.Context) error {
		pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels("step", "3")))
		runtime.Goexit()
		return nil
	})
	m.Go(t.Context(), "none", see)
	close(release)
	require.NoError(t, m.Wait(t.Context()))
	for _, want := range []string{`{"route":"/a"}`, `{"route":"/a", "step":"2"}`, "", ""} {
		assert.Equal(t, want, <-seen)
	}
	require.NoError(t, m.Close())
}

// The context of a task is its own for ever, also when its goroutine runs others.
func TestAContextOutlivesItsTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key struct{}
		m := newManager(core.WithLimit(1, -1))
		const tasks = 50
		kept := make([]context.Context, tasks)
		handles := make([]*core.Task, tasks)
		for i := range tasks {
			ctx := context.WithValue(t.Context(), key{}, i)
			handles[i] = m.Go(ctx, fmt.Sprint("task-", i), func(ctx context.Context) error {
				kept[i] = ctx
				return nil
			}, core.WithTimeout(time.Duration(i+1)*time.Minute))
		}
		require.NoError(t, m.Wait(t.Context()))
		for i, ctx := range kept {
			assert.Equal(t, i, ctx.Value(key{}))
			require.ErrorIs(t, ctx.Err(), context.Canceled)
			<-ctx.Done()
			task, ok := core.TaskFromContext(ctx)
			require.True(t, ok)
			assert.Same(t, handles[i], task)
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			assert.Equal(t, task.StartedAt().Add(task.Timeout()), deadline)
			child, cancel := context.WithCancel(ctx)
			require.ErrorIs(t, child.Err(), context.Canceled)
			cancel()
		}
	})
}

// unreadable is a context whose values nobody can read.
type unreadable struct{ context.Context }

func (unreadable) Value(any) any { panic("no values") }

func TestAContextWithoutReadableValuesHasNoLabels(t *testing.T) {
	m := newManager(core.WithLimit(1, -1))
	release, seen := make(chan struct{}), ""
	pprof.Do(t.Context(), pprof.Labels("route", "/a"), func(ctx context.Context) { m.Go(ctx, "first", until(release)) })
	task := m.Go(unreadable{t.Context()}, "x", func(context.Context) error { seen = labelsOf(t, "core_test.labelsOf"); return nil })
	close(release)
	require.NoError(t, task.Wait(t.Context()))
	require.Empty(t, seen)
	require.NoError(t, m.Close())
}

// A Go that is refused looks through the tasks that its context belongs to.
func TestAContextWithoutReadableValuesBelongsToNoTask(t *testing.T) {
	m := newManager()
	require.NoError(t, m.Close())
	require.Equal(t, core.ErrClosed, m.Go(unreadable{t.Context()}, "x", succeed).Err())
}
