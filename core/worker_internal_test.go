package core

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// Close waits for a goroutine that was started for a task, though another one took that.
func TestNoGoroutineIsOnItsWayAfterClose(t *testing.T) {
	for range 1_000 {
		m := New(WithLogger(slog.New(slog.DiscardHandler)))
		for range 20 {
			m.Go(context.Background(), "x", func(context.Context) error { return nil })
		}
		require.NoError(t, m.Close())
		m.lockAll()
		for _, sh := range m.shards.all {
			require.Zero(t, sh.workers.starting)
			require.Zero(t, sh.workers.ready.len())
		}
		m.unlockAll()
	}
}

// One alone would have to wait for its turn before it starts the next.
func TestAsManyGoroutinesAreOnTheirWayAsCanStart(t *testing.T) {
	m := New(WithLogger(slog.New(slog.DiscardHandler)), WithLimit(100, 0)) // and so one shard
	sh := m.shards.first
	started := make(chan struct{}, 10)
	sh.workers.most, sh.workers.work = 3, func() { started <- struct{}{} } // and takes no task
	for want, ready := range []int{1, 2, 3, 3, 3} {
		m.Go(context.Background(), "x", func(context.Context) error { return nil })
		require.Equal(t, ready, sh.workers.starting, "with %d ready", want+1)
	}
	for range 3 {
		<-started
	}
	for range 5 { // each that comes takes one, and makes way for the next
		go sh.work()
	}
	require.NoError(t, m.Wait(context.Background()))
}
