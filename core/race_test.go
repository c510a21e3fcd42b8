package core_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promise 9: safe for concurrent use. These tests are for the race detector, and run without a
// fake clock where they need no clock, so that goroutines really run at the same time.

// sample reads everything that can be read, until stop is called.
func sample(t *testing.T, m *core.Manager) (stop func()) {
	t.Helper()
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			for range 50 {
				if s := m.Stats(); !balanced(s) {
					assert.Fail(t, "out of balance", "%+v", s)
					return
				}
			}
			for _, info := range m.Tasks() {
				if info.Done {
					assert.Fail(t, "a task that is done", "%+v", info)
				}
			}
			runtime.Gosched()
		}
	})
	return func() { close(over); wg.Wait() }
}

// Whichever comes first, there is one outcome, and it goes with the error.
func TestCancelAgainstCompletion(t *testing.T) {
	m := newManager(core.WithLimit(8, -1))
	stop := sample(t, m)
	defer stop()
	for range 500 {
		release := make(chan struct{})
		task := m.Go(context.Background(), "x", func(ctx context.Context) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		go close(release)
		go task.Cancel()
		if err := task.Wait(t.Context()); err == nil {
			require.Equal(t, core.Completed, task.Outcome())
		} else {
			require.Equal(t, core.ErrCancelled, err)
			require.Equal(t, core.Cancelled, task.Outcome())
		}
	}
	require.NoError(t, m.Wait(t.Context()))
}

// The timeout, a cancel and the end of the Func in the same instant of the fake clock.
func TestTimeoutAgainstCompletionAndCancel(t *testing.T) {
	for name, fn := range map[string]core.Func{
		"nil":     ignore(time.Second),
		"error":   ignoreAndFail(time.Second),
		"obeys":   obey,
		"watches": during(time.Second),
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager()
			seen := map[core.Outcome]int{}
			for range 300 {
				task := m.Go(t.Context(), "x", fn, core.WithTimeout(time.Second))
				time.AfterFunc(time.Second, task.Cancel)
				requireEnds(t, task)
				switch task.Outcome() {
				case core.Completed:
					require.NoError(t, task.Err())
				case core.Failed: // both of its events came just after it
					require.Equal(t, errTask, task.Err())
				case core.TimedOut, core.Cancelled:
					require.Error(t, task.Err())
				default:
					require.Fail(t, "no outcome")
				}
				seen[task.Outcome()]++
			}
			stats := m.Stats()
			requireBalanced(t, stats)
			require.EqualValues(t, seen[core.Completed], stats.Completed)
			require.EqualValues(t, seen[core.TimedOut], stats.TimedOut)
			require.EqualValues(t, seen[core.Cancelled], stats.Cancelled)
		})
	}
}

// Somebody looks at the context for the first time at the moment at which the task ends, is cancelled, or looks
// itself: there is one Done channel all the same, and it is closed at the end.
func TestFirstLookAgainstTheEnd(t *testing.T) {
	m := newManager()
	for name, tc := range map[string]struct {
		inside func(context.Context)
		cancel func(*core.Task)
	}{
		"end":          {func(context.Context) {}, func(*core.Task) {}},
		"cancel":       {func(context.Context) {}, (*core.Task).Cancel},
		"another look": {func(ctx context.Context) { ctx.Done() }, func(*core.Task) {}},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 5000 {
				var ready atomic.Int32
				meet := func() {
					for ready.Add(1); ready.Load() < 2; {
						runtime.Gosched()
					}
				}
				seen := make(chan (<-chan struct{}), 1)
				task := m.Go(t.Context(), "x", func(ctx context.Context) error {
					go func() {
						meet()
						for range round % 500 { // the end takes a moment, too
							ready.Load()
						}
						done := ctx.Done()
						assert.Equal(t, done, ctx.Done())
						seen <- done
					}()
					meet()
					tc.inside(ctx)
					return nil
				}, core.WithTimeout(time.Hour))
				tc.cancel(task)
				done := <-seen
				require.NoError(t, task.Wait(t.Context()))
				select {
				case <-done:
				default:
					require.Fail(t, "the context is still open", "in round %d", round)
				}
			}
		})
	}
}

// The equation of Stats holds between any two instructions of the manager.
func TestStatsAreOfOneInstant(t *testing.T) {
	m := newManager(core.WithLimit(2, -1))
	var over atomic.Bool
	var samplers sync.WaitGroup
	samplers.Go(func() {
		for !over.Load() {
			if s := m.Stats(); !balanced(s) {
				assert.Fail(t, "out of balance", "%+v", s)
				return
			}
		}
	})
	for range 100 {
		for range 100 {
			m.Go(t.Context(), "x", succeed)
		}
		require.NoError(t, m.Wait(t.Context()))
	}
	over.Store(true)
	samplers.Wait()
}

// A task that is running when its nested task is spawned is counted until that is, too.
func TestWaitNeverReturnsWhileANestedTaskIsAlive(t *testing.T) {
	m := newManager()
	for range 300 {
		var alive atomic.Int32
		var nest func(depth int) core.Func
		nest = func(depth int) core.Func {
			return func(ctx context.Context) error {
				defer alive.Add(-1)
				if depth > 0 {
					for range 2 {
						alive.Add(1)
						m.Go(ctx, "nested", nest(depth-1))
					}
				}
				return nil
			}
		}
		alive.Add(1)
		m.Go(t.Context(), "outer", nest(3))
		var waiters sync.WaitGroup
		for range 2 {
			waiters.Go(func() {
				assert.NoError(t, m.Wait(context.Background()))
				assert.Zero(t, alive.Load())
			})
		}
		waiters.Wait()
	}
}

// Blocked callers, callers that give up, and tasks that end, all at once: each caller gets one answer.
func TestBlockedCallersAgainstTheirContexts(t *testing.T) {
	m := newManager(core.WithLimit(2, 1), core.WithBlocking())
	stop := sample(t, m)
	var callers sync.WaitGroup
	var accepted, refused atomic.Int64
	for i := range 400 {
		callers.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%2 == 0 {
				go cancel()
			}
			task := m.Go(ctx, "x", func(context.Context) error { runtime.Gosched(); return nil })
			if task.Outcome() == core.Rejected {
				refused.Add(1)
				assert.ErrorIs(t, task.Err(), core.ErrFull)
				assert.ErrorIs(t, task.Err(), context.Canceled)
				return
			}
			accepted.Add(1)
			assert.NoError(t, task.Wait(context.Background()))
		})
	}
	callers.Wait()
	stop()
	require.NoError(t, m.Wait(t.Context()))
	stats := m.Stats()
	require.EqualValues(t, 400, accepted.Load()+refused.Load())
	require.EqualValues(t, accepted.Load(), stats.Completed)
	require.EqualValues(t, refused.Load(), stats.Rejected)
	require.GreaterOrEqual(t, accepted.Load(), int64(200), "who has time gets room")
}

// Tasks end while another goroutine cancels the queue, which moves them about.
func TestCancelAllAgainstAFullQueue(t *testing.T) {
	for range 30 {
		m := newManager(core.WithLimit(2, -1), core.WithMiddleware(spawnFunc(
			func(ctx context.Context, _ *core.Task) context.Context { runtime.Gosched(); return ctx })))
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for range 50 {
					m.Go(context.Background(), "x", func(ctx context.Context) error { runtime.Gosched(); return ctx.Err() })
				}
			})
		}
		callers.Go(func() {
			for range 50 {
				m.CancelAll()
				runtime.Gosched()
			}
		})
		callers.Wait()
		require.NoError(t, m.Wait(t.Context()))
		stats := m.Stats()
		requireBalanced(t, stats)
		require.EqualValues(t, 200, stats.Completed+stats.Cancelled)
	}
}
