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
		m.mu.Lock()
		require.Zero(t, m.workers.starting)
		require.Zero(t, m.workers.ready.len())
		m.mu.Unlock()
	}
}

// One alone would have to wait for its turn before it starts the next.
func TestAsManyGoroutinesAreOnTheirWayAsCanStart(t *testing.T) {
	m := New(WithLogger(slog.New(slog.DiscardHandler)))
	started := make(chan struct{}, 10)
	m.workers.most, m.workers.work = 3, func() { started <- struct{}{} } // and takes no task
	for want, ready := range []int{1, 2, 3, 3, 3} {
		m.Go(context.Background(), "x", func(context.Context) error { return nil })
		require.Equal(t, ready, m.workers.starting, "with %d ready", want+1)
	}
	for range 3 {
		<-started
	}
	for range 5 { // each that comes takes one, and makes way for the next
		go m.work()
	}
	require.NoError(t, m.Wait(context.Background()))
}
