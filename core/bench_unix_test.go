//go:build unix

package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/afterspan/afterspan/core"
)

// BenchmarkSpawn is what a task costs, from Go to its end, with a bare go statement as the
// rival in the same run: x-go is the CPU time of the process per task, as a multiple of the rival's.
func BenchmarkSpawn(b *testing.B) {
	request, cancel := context.WithCancel(b.Context())
	defer cancel()
	pass := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error { return next(ctx, t) }
	})
	empty := func(context.Context) error { return nil }
	watching := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		default:
			return nil
		}
	}
	s := &core.Keyed{}
	var each []core.TaskOption
	for i := range batch {
		each = append(each, core.WithKey(s, fmt.Sprint("thread-", i)))
	}
	for _, bb := range []struct {
		name    string
		ctx     context.Context
		fn      core.Func
		options []core.Option
		task    []core.TaskOption
		each    []core.TaskOption // in place of task: one for each of a batch
	}{
		{"bare manager", context.Background(), empty, nil, nil, nil},
		{"context of a request", request, empty, nil, nil, nil},
		{"1 µs of work", context.Background(), microsecond, nil, nil, nil},
		{"timeout", context.Background(), empty, nil, []core.TaskOption{core.WithTimeout(time.Minute)}, nil},
		{"timeout that is watched", context.Background(), watching, nil, []core.TaskOption{core.WithTimeout(time.Minute)}, nil},
		{
			"2 attributes", context.Background(), empty, nil,
			[]core.TaskOption{core.WithAttrs(slog.String("thread_id", "t-1"), slog.Int("attempt", 1))},
			nil,
		},
		{"3 middlewares", context.Background(), empty, []core.Option{core.WithMiddleware(pass, pass, pass)}, nil, nil},
		{"64 at a time", context.Background(), empty, []core.Option{core.WithLimit(64, -1)}, nil, nil},
		{"serial, a key each", context.Background(), empty, nil, nil, each},
		{"serial, all of one key", context.Background(), empty, nil, each[:1], nil},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m := core.New(bb.options...)
			compare(b,
				func(n int) {
					for i := range n {
						opts := bb.task
						if bb.each != nil {
							opts = bb.each[i : i+1]
						}
						m.Go(bb.ctx, "send_receipt", bb.fn, opts...)
					}
					_ = m.Wait(context.Background())
				},
				func(n int) {
					var wg sync.WaitGroup
					for range n {
						wg.Go(func() { _ = bb.fn(bb.ctx) })
					}
					wg.Wait()
				})
		})
	}
}

// batch is how many tasks are started, and waited for, at a time.
const batch = 512

// compare runs ours and the rival's in turn, a batch each, and times and counts ours.
func compare(b *testing.B, ours, rivals func(n int)) {
	b.ReportAllocs()
	b.ResetTimer()
	var our, rival time.Duration
	for left := b.N; left > 0; left -= batch {
		n := min(left, batch)
		b.StopTimer()
		rival += cpuTime(func() { rivals(n) })
		b.StartTimer()
		our += cpuTime(func() { ours(n) })
	}
	b.ReportMetric(float64(our)/float64(rival), "x-go")
}

// cpuTime returns how much CPU time the process took for f.
func cpuTime(f func()) time.Duration {
	began := rusage()
	f()
	return rusage() - began
}

func rusage() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// microsecond works for about as long.
func microsecond(context.Context) error {
	x := uint64(88172645463325252)
	for range 400 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		panic("never")
	}
	return nil
}
