package core_test

import (
	"context"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// A goroutine takes what is ready as it ends a task: its stack has grown already.
func TestAGoroutineIsUsedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, -1))
		var used journal
		release := make(chan struct{})
		for range 100 {
			m.Go(t.Context(), "x", func(context.Context) error { used.add(goroutine()); <-release; return nil })
		}
		close(release)
		require.NoError(t, m.Wait(t.Context()))
		require.Len(t, used.all(), 100)
		for _, id := range used.all() {
			require.Equal(t, used.all()[0], id)
		}
	})
}

// goroutine returns what tells this goroutine from others in a traceback.
func goroutine() string {
	var buf [64]byte
	id, _, _ := strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), " [")
	return id
}

// In a limited manager the goroutine that ends a task takes the next, and none is started in its place.
func TestAQueueNeedsNoGoroutineForEachTask(t *testing.T) {
	created := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	m := newManager(core.WithLimit(1, -1))
	release := make(chan struct{})
	m.Go(t.Context(), "first", until(release))
	for range 1000 {
		m.Go(t.Context(), "queued", func(context.Context) error { runtime.Gosched(); return nil }) // lets others start
	}
	metrics.Read(created)
	before := created[0].Value.Uint64()
	close(release)
	require.NoError(t, m.Wait(t.Context()))
	metrics.Read(created)
	require.Less(t, created[0].Value.Uint64()-before, uint64(100))
}
