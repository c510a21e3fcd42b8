package core_test

import (
	"context"
	"runtime"
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
