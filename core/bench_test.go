package core_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/afterspan/afterspan/core"
)

func BenchmarkSpawn(b *testing.B) {
	ctx := context.Background()
	nop := func(context.Context) error { return nil }
	pass := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error { return next(ctx, t) }
	})
	request, cancel := context.WithCancel(ctx)
	defer cancel()
	b.Run("go", func(b *testing.B) {
		var wg sync.WaitGroup
		spawn(b, func() { wg.Add(1); go func() { defer wg.Done(); _ = nop(ctx) }() }, wg.Wait)
	})
	for _, bb := range []struct {
		name string
		ctx  context.Context
		opts []core.Option
		task []core.TaskOption
	}{
		{"core", ctx, nil, nil},
		{"core-request", request, nil, nil},
		{"core-timeout", ctx, nil, []core.TaskOption{core.WithTimeout(time.Minute)}},
		{"core-3mw", ctx, []core.Option{core.WithMiddleware(pass, pass, pass)}, nil},
		{"core-limit64", ctx, []core.Option{core.WithLimit(64, -1)}, nil},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m := core.New(bb.opts...)
			spawn(b, func() { m.Go(bb.ctx, "nop", nop, bb.task...) }, func() { _ = m.Wait(ctx) })
		})
	}
}

func spawn(b *testing.B, one func(), wait func()) {
	b.ReportAllocs()
	before := cpu()
	n := 0
	for b.Loop() {
		one()
		if n++; n%256 == 0 {
			wait()
		}
	}
	wait()
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
