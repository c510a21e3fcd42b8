package core_test

import (
	"context"
	"errors"
	"fmt"
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

// Promise 9, of Shutdown and Close.

// Each Go is either accepted, and then its task is finished and reported, or refused with ErrClosed.
func TestGoAgainstShutdown(t *testing.T) {
	const callers, each = 200, 20
	for name, opts := range map[string][]core.Option{
		"no limit": nil,
		"limit":    {core.WithLimit(4, -1)},
		"blocking": {core.WithLimit(4, 4), core.WithBlocking()},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(opts...)
			stop := sample(t, m)
			var ran, accepted, nested, refused atomic.Int64
			fn := func(ctx context.Context) error {
				ran.Add(1)
				if task := m.Go(ctx, "nested", func(context.Context) error { ran.Add(1); return nil }); task.Outcome() != core.Rejected {
					nested.Add(1)
				}
				return nil
			}
			var callersDone sync.WaitGroup
			for range callers {
				callersDone.Go(func() {
					for range each {
						task := m.Go(context.Background(), "x", fn)
						switch {
						case task.Outcome() != core.Rejected:
							accepted.Add(1)
						case assert.Equal(t, core.ErrClosed, task.Err()):
							refused.Add(1)
						}
					}
				})
			}
			for accepted.Load() < callers { // in the middle of it
				runtime.Gosched()
			}
			stats, err := m.Shutdown(t.Context())
			require.NoError(t, err)
			requireAccounted(t, stats)
			require.Equal(t, stats.InitialTasks+stats.SpawnedTasks, stats.CompletedTasks)
			reported := m.Stats()
			require.Zero(t, reported.Running+reported.Queued, "nothing is left when it returns")

			callersDone.Wait()
			stop()
			require.EqualValues(t, callers*each, accepted.Load()+refused.Load())
			final := m.Stats()
			require.EqualValues(t, accepted.Load()+nested.Load(), final.Created-final.Rejected, "what was accepted")
			require.EqualValues(t, ran.Load(), final.Completed, "has run")
			require.Equal(t, final.Created-final.Rejected, final.Completed)
		})
	}
}

// The same with a Close, which cancels, against tasks of all kinds.
func TestGoAgainstClose(t *testing.T) {
	for range 20 {
		m := newManager(core.WithLimit(3, 10))
		stop := sample(t, m)
		var all sync.Map
		var callers sync.WaitGroup
		var n atomic.Int64
		for range 50 {
			callers.Go(func() {
				for _, fn := range []core.Func{succeed, fail, obey, explode} {
					task := m.Go(context.Background(), "x", fn, core.WithTimeout(time.Millisecond))
					all.Store(task, true)
					n.Add(1)
					if task.ID()%3 == 0 {
						task.Cancel()
					}
				}
			})
		}
		for n.Load() < 20 {
			runtime.Gosched()
		}
		require.NoError(t, m.Close())
		callers.Wait()
		stop()
		for task := range all.Range {
			select {
			case <-task.(*core.Task).Done():
			default:
				require.Fail(t, "is not done", "%v", task)
			}
		}
		stats := m.Stats()
		requireBalanced(t, stats)
		require.EqualValues(t, 200, stats.Created)
	}
}

// After Close has returned nil not even a goroutine is left.
func TestNothingIsLeftAfterClose(t *testing.T) {
	for name, opts := range map[string][]core.Option{"no limit": nil, "limit": {core.WithLimit(5, -1)}} {
		inBubble(t, name, func(t *testing.T) { // which fails if a goroutine is left
			m := newManager(opts...)
			var inside []context.Context
			var mu sync.Mutex
			for i := range 100 {
				m.Go(t.Context(), fmt.Sprint(i), func(ctx context.Context) error {
					mu.Lock()
					inside = append(inside, ctx)
					mu.Unlock()
					return errors.Join(obey(ctx), errTask)
				}, core.WithTimeout(time.Duration(i)*time.Minute))
			}
			synctest.Wait()
			require.NoError(t, m.Close())
			require.Equal(t, core.Stats{Created: 100, Cancelled: 100}, counts(m))
			for _, ctx := range inside {
				require.True(t, isDone(ctx))
			}
		})
	}
}

// A goroutine that a task left behind calls Go while the task ends and the drain completes. What is accepted was
// counted by the Shutdown, and has ended when it returns.
func TestNothingIsAcceptedAfterShutdownHasReturned(t *testing.T) {
	for round := range 100 {
		m := newManager()
		stop := sample(t, m)
		const callers = 8
		var ready sync.WaitGroup
		ready.Add(callers)
		tasks := make(chan *core.Task, callers)
		m.Go(t.Context(), "x", func(ctx context.Context) error {
			for i := range callers {
				go func() {
					ready.Done()
					<-m.Draining()
					for range (round + i*7) % 50 {
						_ = ctx.Value(key("x"))
					}
					tasks <- m.Go(ctx, "late", succeed)
				}()
			}
			<-m.Draining()
			return nil
		})
		ready.Wait()
		stats, err := m.Shutdown(t.Context())
		stop()
		require.NoError(t, err)
		accepted := 0
		for range callers {
			if task := <-tasks; task.ID() != 0 {
				accepted++
				require.Equal(t, core.Completed, task.Outcome())
			}
		}
		require.Equal(t, accepted, stats.SpawnedTasks)
	}
}
