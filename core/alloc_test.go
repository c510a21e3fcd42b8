package core_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// A task is two allocations, the handle and the run: a budget, so that it stays so.
func TestAllocationsOfATask(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	request := t.Context() // can be cancelled
	pass := around(func(ctx context.Context, task *core.Task, next core.Handler) error { return next(ctx, task) })
	timeout := core.WithTimeout(time.Minute)
	for _, tc := range []struct {
		name string
		ctx  context.Context
		opts []core.Option
		task []core.TaskOption
		most float64
	}{
		{"nothing asked for", context.Background(), nil, nil, 2},
		{"the context of a request", request, nil, nil, 2},
		{"a timeout that nobody looks at", context.Background(), nil, []core.TaskOption{timeout}, 2},
		{"three middlewares", context.Background(), []core.Option{core.WithMiddleware(pass, pass, pass)}, nil, 2},
		{"a limit", context.Background(), []core.Option{core.WithLimit(4, -1)}, nil, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newManager(tc.opts...)
			ended := make(chan struct{})
			fn := func(context.Context) error { ended <- struct{}{}; return nil }
			allocs := testing.AllocsPerRun(500, func() {
				m.Go(tc.ctx, "x", fn, tc.task...)
				<-ended
			})
			require.LessOrEqual(t, allocs, tc.most)
			require.NoError(t, m.Close())
		})
	}
}

// A key is one allocation more. On top comes what is kept only while a key, or a Keyed, has tasks.
func TestAllocationsOfATaskWithAKey(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	for _, tc := range []struct {
		name string
		busy string // the key of a task that runs meanwhile
		most float64
	}{
		{"where its Keyed is idle", "", 7},
		{"where its key is idle", "another", 4},
		{"where its key is busy", "k", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, s := newManager(), &core.Keyed{}
			release, running := make(chan struct{}), 0
			if tc.busy != "" {
				m.Go(context.Background(), "busy", until(release), core.WithKey(s, tc.busy))
				running = 1
			}
			option := core.WithKey(s, "k")
			allocs := testing.AllocsPerRun(500, func() {
				m.Go(context.Background(), "x", succeed, option)
				for tc.busy != "k" && m.Stats().Running > running { // its end makes its key idle
					runtime.Gosched()
				}
			})
			close(release)
			require.NoError(t, m.Wait(context.Background()))
			require.LessOrEqual(t, allocs, tc.most)
		})
	}
}
