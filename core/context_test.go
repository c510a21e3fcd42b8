package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promise 1: values flow, cancellation does not.

type key string

// A request is over, in each of the ways in which it can be, before its task looks.
func TestTheEndOfTheRequestIsNotTheEndOfTheTask(t *testing.T) {
	errAborted := errors.New("client went away")
	for name, end := range map[string]func(context.Context) context.Context{
		"cancelled": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx
		},
		"cancelled with a cause": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errAborted)
			return ctx
		},
		"past its deadline": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeoutCause(ctx, -time.Second, errAborted)
			cancel()
			return ctx
		},
		"cancelled while the task runs": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(errAborted) })
			return ctx
		},
		"past its deadline while the task runs": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errAborted)
			time.AfterFunc(time.Minute, cancel)
			return ctx
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager()
			request := end(context.WithValue(context.Background(), key("trace"), "4bf92f35"))
			task := m.Go(request, "send_receipt", func(ctx context.Context) error {
				time.Sleep(2 * time.Second)
				assert.Error(t, request.Err())
				assert.NoError(t, ctx.Err())
				assert.NoError(t, context.Cause(ctx))
				_, limited := ctx.Deadline()
				assert.False(t, limited)
				assert.False(t, isDone(ctx))
				assert.NoError(t, ctx.Err(), "also once Done was asked for")
				assert.NoError(t, context.Cause(ctx))
				assert.Equal(t, "4bf92f35", ctx.Value(key("trace")))
				return nil
			})
			assertOutcome(t, core.Completed, task)
			time.Sleep(time.Minute)
		})
	}
}

// gin.Context, fasthttp.RequestCtx and echo's are contexts that no function of package context made.
type frameworkContext struct {
	context.Context // only for what is not defined here
	done            chan struct{}
}

func (c *frameworkContext) Deadline() (time.Time, bool) { return time.Unix(1, 0), true }
func (c *frameworkContext) Done() <-chan struct{}       { return c.done }
func (c *frameworkContext) Err() error                  { return context.Canceled }
func (c *frameworkContext) Value(k any) any {
	if k == key("user") {
		return "ada"
	}
	return nil
}

func TestSpawnerMayBeAContextOfAnyType(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		request := &frameworkContext{done: make(chan struct{})}
		close(request.done)
		task := m.Go(request, "audit", func(ctx context.Context) error {
			assert.Equal(t, "ada", ctx.Value(key("user")))
			assert.NoError(t, ctx.Err())
			assert.False(t, isDone(ctx))
			assert.NoError(t, context.Cause(ctx))
			deadline, limited := ctx.Deadline()
			assert.True(t, limited)
			assert.Equal(t, time.Now().Add(time.Second), deadline)
			return obey(ctx)
		}, core.WithTimeout(time.Second))
		assertOutcome(t, core.TimedOut, task)
	})
}

func TestNestedTaskOutlivesItsSpawner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		var inner *core.Task
		outer := m.Go(context.WithValue(t.Context(), key("k"), "v"), "outer", func(ctx context.Context) error {
			inner = m.Go(ctx, "inner", func(ctx context.Context) error {
				time.Sleep(time.Minute)
				assert.NoError(t, ctx.Err())
				assert.Equal(t, "v", ctx.Value(key("k")))
				_, limited := ctx.Deadline()
				assert.False(t, limited, "the outer task's timeout is its own")
				return nil
			})
			return obey(ctx)
		}, core.WithTimeout(time.Second))
		assertOutcome(t, core.TimedOut, outer)
		require.NoError(t, inner.Wait(t.Context()))
	})
}

func TestTaskFromContextTellsTheInnermostTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		_, inside := core.TaskFromContext(t.Context())
		require.False(t, inside)

		var outer, inner *core.Task
		seen := make(chan *core.Task, 3)
		look := func(ctx context.Context) {
			task, inside := core.TaskFromContext(ctx)
			assert.True(t, inside)
			seen <- task
		}
		outer = m.Go(t.Context(), "outer", func(ctx context.Context) error {
			look(ctx)
			inner = m.Go(ctx, "inner", func(ctx context.Context) error {
				child, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				look(child)
				return nil
			})
			_ = inner.Wait(ctx)
			look(context.WithoutCancel(ctx))
			return nil
		})
		require.NoError(t, outer.Wait(t.Context()))
		assert.Same(t, outer, <-seen)
		assert.Same(t, inner, <-seen)
		assert.Same(t, outer, <-seen)
	})
}

func TestManagerTravelsInAContext(t *testing.T) {
	m := newManager()
	_, ok := core.FromContext(t.Context())
	require.False(t, ok)
	_, ok = core.FromContext(core.NewContext(t.Context(), nil))
	require.False(t, ok, "no manager is no manager")

	ctx := core.NewContext(t.Context(), m)
	found, ok := core.FromContext(ctx)
	require.True(t, ok)
	require.Same(t, m, found)

	// A task finds it, too, for its follow-ups.
	task := m.Go(ctx, "lookup", func(ctx context.Context) error {
		found, ok := core.FromContext(ctx)
		assert.True(t, ok)
		assert.Same(t, m, found)
		return nil
	})
	require.NoError(t, task.Wait(t.Context()))
}

// A middleware may set a limit of its own, in the context that its Spawn returns.
func TestContextReturnedBySpawnIsHonoured(t *testing.T) {
	errBudget := errors.New("budget spent")
	for _, tc := range []struct {
		name    string
		derive  func(context.Context) (context.Context, func())
		timeout time.Duration // the task's own
		err     error
		cause   error
		outcome core.Outcome
	}{
		{name: "its deadline", derive: func(ctx context.Context) (context.Context, func()) {
			return context.WithTimeoutCause(ctx, time.Second, errBudget)
		}, timeout: time.Minute, err: context.DeadlineExceeded, cause: errBudget, outcome: core.Failed},
		{name: "its cancellation", derive: func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(errBudget) })
			return ctx, func() {}
		}, err: context.Canceled, cause: errBudget, outcome: core.Failed},
		{name: "the task's own timeout, where that is shorter", derive: func(ctx context.Context) (context.Context, func()) {
			return context.WithTimeoutCause(ctx, time.Minute, errBudget)
		}, timeout: time.Second, err: context.DeadlineExceeded, cause: core.ErrTimeout, outcome: core.TimedOut},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			release := func() {}
			m := newManager(core.WithMiddleware(spawnFunc(func(ctx context.Context, _ *core.Task) context.Context {
				ctx, release = tc.derive(ctx)
				return context.WithValue(ctx, key("k"), "v")
			})))
			begin := time.Now()
			task := m.Go(t.Context(), "bounded", func(ctx context.Context) error {
				assert.Equal(t, "v", ctx.Value(key("k")))
				if deadline, limited := ctx.Deadline(); limited {
					assert.Equal(t, begin.Add(time.Second), deadline, "the shorter of the two")
				}
				<-ctx.Done()
				assert.Equal(t, tc.err, ctx.Err())
				assert.Equal(t, tc.cause, context.Cause(ctx))
				return ctx.Err()
			}, core.WithTimeout(tc.timeout))
			assertOutcome(t, tc.outcome, task)
			assert.Equal(t, begin.Add(time.Second), time.Now())
			release()
		})
	}
}

// detached is what services wrote by hand before context.WithoutCancel.
type detached struct{ context.Context }

func (detached) Deadline() (time.Time, bool) { return time.Time{}, false }
func (detached) Done() <-chan struct{}       { return nil }
func (detached) Err() error                  { return nil }

func TestCauseOfAnOuterContextDoesNotLeakThroughSpawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		outer, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("not the task's"))
		m := newManager(core.WithMiddleware(spawnFunc(func(context.Context, *core.Task) context.Context {
			return detached{outer}
		})))
		task := m.Go(t.Context(), "publish_event", func(ctx context.Context) error {
			assert.NoError(t, context.Cause(ctx))
			assert.False(t, isDone(ctx))
			assert.NoError(t, context.Cause(ctx))
			assert.NoError(t, ctx.Err())
			assert.NoError(t, context.Cause(ctx))
			return nil
		})
		assertOutcome(t, core.Completed, task)
	})
}

// Printing a context with %v reads it by reflection, if nothing keeps fmt from it.
func TestContextIsPrintedWhileItChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		var printers sync.WaitGroup
		task := m.Go(t.Context(), "print_me", func(ctx context.Context) error {
			for range 4 {
				printers.Go(func() {
					for range 50 {
						_ = fmt.Sprint(ctx)
						_ = fmt.Sprintf("%+v", context.WithValue(ctx, key("k"), "v"))
					}
				})
			}
			assert.Contains(t, fmt.Sprint(ctx), "print_me")
			return obey(ctx)
		}, core.WithTimeout(time.Hour))
		task.Cancel()
		assertOutcome(t, core.Cancelled, task)
		printers.Wait()
	})
}

// nosyContext is a context whose every method calls the manager. Under a lock that would be a deadlock.
type nosyContext struct {
	context.Context
	m **core.Manager
}

func (c nosyContext) look() { _, _ = (*c.m).Stats(), (*c.m).Tasks() }

func (c nosyContext) Deadline() (time.Time, bool) { c.look(); return c.Context.Deadline() }
func (c nosyContext) Done() <-chan struct{}       { c.look(); return c.Context.Done() }
func (c nosyContext) Err() error                  { c.look(); return c.Context.Err() }
func (c nosyContext) Value(k any) any {
	if c.look(); k == key("k") {
		return "v"
	}
	return nil // hides what it is made of: it is a context of an unknown type
}

// AfterFunc is what package context calls instead of starting a goroutine.
func (c nosyContext) AfterFunc(f func()) func() bool {
	c.look()
	stopped := context.AfterFunc(c.Context, f)
	return func() bool { c.look(); return stopped() }
}

func TestContextsOfTheUsersAreNotCalledUnderALock(t *testing.T) {
	inBubble(t, "the spawner's", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 0), core.WithBlocking())
		request := nosyContext{seconds(t, 3*time.Second), &m}
		m.Go(request, "first", ignore(time.Second))
		m.Go(request, "waits", func(ctx context.Context) error {
			assert.Equal(t, "v", ctx.Value(key("k")))
			assert.NoError(t, ctx.Err())
			return ignore(10 * time.Second)(ctx)
		}, core.WithTimeout(time.Hour))
		require.ErrorIs(t, m.Go(request, "gives_up", succeed).Err(), context.DeadlineExceeded)
		require.ErrorIs(t, m.Go(request, "is_over", succeed).Err(), context.DeadlineExceeded)
		require.NoError(t, m.Close())
		require.Equal(t, core.ErrClosed, m.Go(request, "too_late", succeed).Err())
	})
	for name, end := range map[string]func(*core.Manager, *core.Task){
		"a Spawn's, at the end":       func(*core.Manager, *core.Task) {},
		"a Spawn's, at a timeout":     func(*core.Manager, *core.Task) { time.Sleep(time.Hour) },
		"a Spawn's, at Cancel":        func(_ *core.Manager, task *core.Task) { task.Cancel() },
		"a Spawn's, at CancelAll":     func(m *core.Manager, _ *core.Task) { m.CancelAll() },
		"a Spawn's, at Close":         func(m *core.Manager, _ *core.Task) { _ = m.Close() },
		"a Spawn's, cancelled queued": func(m *core.Manager, _ *core.Task) { m.Go(t.Context(), "queued", succeed).Cancel() },
	} {
		inBubble(t, name, func(t *testing.T) {
			var m *core.Manager
			m = newManager(core.WithLimit(1, 1), core.WithMiddleware(spawnFunc(func(ctx context.Context, _ *core.Task) context.Context {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(100*time.Hour, cancel)
				return nosyContext{ctx, &m}
			})))
			task := m.Go(t.Context(), "x", during(time.Second), core.WithTimeout(time.Minute))
			synctest.Wait()
			end(m, task)
			requireEnds(t, task)
			require.NoError(t, m.Close())
		})
	}
}
