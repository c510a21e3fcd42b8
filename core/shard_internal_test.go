package core

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inShards returns a manager with n shards, and a function that sets which is that of the processors from then on.
func inShards(n int) (m *Manager, use func(i int)) {
	m = New(WithLogger(slog.New(slog.DiscardHandler)))
	m.shards.most = n
	for range n {
		m.shards.next(m)
	}
	return m, func(i int) { m.shards.mine = sync.Pool{New: func() any { return m.shards.all[i] }} }
}

func nothing(context.Context) error { return nil }

func TestATaskOfOneShardStartsOneOfAnotherDuringTheDrain(t *testing.T) {
	if plain {
		t.Skip("there is one shard")
	}
	m, use := inShards(2)
	started, drained := make(chan struct{}), make(chan struct{})
	var child *Task
	use(0)
	m.Go(context.Background(), "x", func(ctx context.Context) error {
		close(started)
		<-drained
		use(1)
		child = m.Go(ctx, "child", nothing)
		return child.Err()
	})
	<-started
	require.True(t, m.beginShutdown())
	use(1)
	require.Equal(t, ErrClosed, m.Go(context.Background(), "late", nothing).Err())
	close(drained)
	require.NoError(t, m.Wait(context.Background()))
	require.Same(t, m.shards.all[1], child.shard)
	require.Equal(t, Completed, child.Outcome())
	require.Equal(t, Stats{Created: 2, Completed: 2, Rejected: 1}, m.Stats())
	require.NoError(t, m.Close())
}

func TestWhatConcernsAllIsOfAllShards(t *testing.T) {
	if plain {
		t.Skip("there is one shard")
	}
	const shards = 3
	m, use := inShards(shards)
	var tasks []*Task
	for i := range 2 * shards {
		use(i % shards)
		tasks = append(tasks, m.Go(context.Background(), "x", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
	}
	serial := &Serial{}
	use(2)
	for range 2 {
		tasks = append(tasks, m.Go(context.Background(), "x", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			WithSerial(serial, "k")))
	}
	require.Same(t, m.shards.first, tasks[6].shard, "what has a key is in the first")
	require.Equal(t, Stats{Created: 8, Running: 7, Queued: 1}, m.Stats())
	for i, info := range m.Tasks() {
		require.Equal(t, uint64(i+1), info.ID, "oldest first")
	}
	m.CancelAll()
	require.NoError(t, m.Wait(context.Background()))
	require.Equal(t, Stats{Created: 8, Cancelled: 8}, m.Stats())

	use(1)
	m.Go(context.Background(), "x", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	require.NoError(t, m.Close())
	for i := range shards {
		use(i)
		require.Equal(t, ErrClosed, m.Go(context.Background(), "x", nothing).Err())
	}
	require.Equal(t, Stats{Created: 9, Cancelled: 9, Rejected: 3}, m.Stats())
}

// A shard that is made after the end takes nothing either.
func TestAShardThatIsMadeLate(t *testing.T) {
	m := New(WithLogger(slog.New(slog.DiscardHandler)))
	m.shards.most = 5
	require.NoError(t, m.Close())
	for range 5 {
		sh := m.shards.next(m)
		m.shards.mine = sync.Pool{New: func() any { return sh }}
		require.Equal(t, ErrClosed, m.Go(context.Background(), "x", nothing).Err())
	}
	require.Len(t, m.shards.all, 5)
	require.Equal(t, uint64(5), m.Stats().Rejected)
}

func TestAManagerWithALimitHasOneShard(t *testing.T) {
	m := New(WithLimit(1, -1), WithLogger(slog.New(slog.DiscardHandler)))
	for range 100 {
		require.Same(t, m.shards.first, m.Go(context.Background(), "x", nothing).shard)
	}
	require.NoError(t, m.Wait(context.Background()))
	require.Len(t, m.shards.all, 1)
}

func TestShardsAreHandedOutInTurn(t *testing.T) {
	m := New()
	m.shards.most = 4
	handed := map[*shard]int{}
	for range 8 {
		handed[m.shards.next(m)]++
	}
	require.Len(t, handed, 4)
	for _, times := range handed {
		require.Equal(t, 2, times)
	}
	require.Contains(t, handed, m.shards.first)
}

// A processor keeps its shard, or there would be nothing gained.
func TestAProcessorKeepsItsShard(t *testing.T) {
	m, _ := inShards(2)
	made := 0
	m.shards.mine = sync.Pool{New: func() any { made++; return m.shards.first }}
	for range 1_000 {
		m.Go(context.Background(), "x", nothing)
	}
	require.Less(t, made, 500) // with the race detector a pool forgets every fourth on purpose
	require.NoError(t, m.Close())
}

// A timer that has fired is waited for, though it is too late to stop it.
func TestATimerThatHasFiredIsNotIdle(t *testing.T) {
	m := New(WithLogger(slog.New(slog.DiscardHandler)))
	sh := m.shards.first
	sh.mu.Lock()
	sh.watchLocked(time.Nanosecond)
	for sh.watch.timer.Stop() { // until it has
		sh.watch.timer.Reset(0)
		runtime.Gosched()
	}
	sh.phase = draining
	sh.wakeIfIdleLocked()
	require.False(t, sh.isIdleLocked())
	sh.mu.Unlock()
	require.NoError(t, m.Wait(context.Background()))
}
