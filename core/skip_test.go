package core_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Tasks cancelled in the queue pass the chain, but not all of a long queue side by side: with a goroutine
// for each of a hundred thousand, a shutdown would not return in time.
func TestALongQueueThatIsCancelledPassesTheChainInPortions(t *testing.T) {
	const tasks, portion = 2_500, 1_000
	for name, cancel := range map[string]func(*core.Manager){
		"CancelAll": (*core.Manager).CancelAll,
		"Shutdown": func(m *core.Manager) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = m.Shutdown(ctx)
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			var mu sync.Mutex
			inside, order := 0, []uint64(nil)
			release := make(chan struct{})
			m := newManager(core.WithLimit(1, -1), core.WithMiddleware(around(
				func(ctx context.Context, task *core.Task, next core.Handler) error {
					mu.Lock()
					inside++
					order = append(order, task.ID())
					mu.Unlock()
					defer func() { mu.Lock(); inside--; mu.Unlock() }()
					<-release
					return next(ctx, task)
				})))
			for range tasks + 1 { // the first runs
				m.Go(t.Context(), "x", obey)
			}
			synctest.Wait()
			cancel(m)
			synctest.Wait()
			assert.Equal(t, portion+1, inside)
			assert.Equal(t, core.Stats{Created: tasks + 1, Running: 1, Queued: tasks}, counts(m))
			assert.Len(t, m.Tasks(), tasks+1)
			for _, info := range m.Tasks() {
				assert.Equal(t, "cancelling", info.State)
			}
			close(release)
			require.NoError(t, m.Wait(t.Context()))
			assert.Len(t, order, tasks+1)
			assert.Equal(t, core.Stats{Created: tasks + 1, Cancelled: tasks + 1}, counts(m))
			require.NoError(t, m.Close())
		})
	}
}

// A task whose Spawns still run when it is cancelled is started by whichever comes last: their end, or its portion.
func TestATaskOfAnotherPortionWhoseSpawnsStillRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		spawning, release := make(chan struct{}), make(chan struct{})
		m := newManager(core.WithLimit(1, -1), core.WithMiddleware(lateSpawn(spawning, release)))
		for range 1_200 {
			m.Go(t.Context(), "x", obey)
		}
		var late *core.Task
		var wg sync.WaitGroup
		wg.Go(func() { late = m.Go(t.Context(), "late", obey) })
		synctest.Wait()
		m.CancelAll()
		synctest.Wait()
		close(spawning)
		wg.Wait()
		synctest.Wait()
		assert.Equal(t, core.Pending, late.Outcome())
		close(release)
		require.NoError(t, m.Wait(t.Context()))
		assertOutcome(t, core.Cancelled, late)
		assert.Equal(t, core.Stats{Created: 1_201, Cancelled: 1_201}, counts(m))
	})
}

// lateSpawn returns a middleware that holds up the Spawn of the task "late", and the runs of all others.
func lateSpawn(spawn, run <-chan struct{}) core.Middleware {
	mw := around(func(ctx context.Context, t *core.Task, next core.Handler) error {
		<-run
		return next(ctx, t)
	})
	mw.Spawn = func(ctx context.Context, t *core.Task) context.Context {
		if t.Name() == "late" {
			<-spawn
		}
		return ctx
	}
	return mw
}
