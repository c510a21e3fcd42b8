package taskz_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

type requestKey struct{}

// The page has the context of a running task, for its trace, and lets go of it when the task ends.
func TestEndedTaskDoesNotKeepItsRequest(t *testing.T) {
	noTrace := func(context.Context, *core.Task) string { return "" }
	page := taskz.New(taskz.WithTraceID(noTrace))
	m := core.New(core.WithLogger(slog.New(slog.DiscardHandler)), core.WithMiddleware(page.Middleware()))
	seen := func() weak.Pointer[[1 << 20]byte] {
		request := new([1 << 20]byte)
		ctx := context.WithValue(t.Context(), requestKey{}, request)
		require.NoError(t, m.Go(ctx, "send_receipt", succeed).Wait(t.Context()))
		return weak.Make(request)
	}()
	require.NoError(t, m.Close())
	for range 100 {
		runtime.GC()
		if seen.Value() == nil {
			runtime.KeepAlive(page)
			return
		}
		runtime.Gosched()
	}
	require.Fail(t, "the page keeps the request")
}
