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
