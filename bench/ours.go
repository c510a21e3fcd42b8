package main

import (
	"context"
	"log/slog"
	"slices"

	"github.com/afterspan/afterspan/core"
)

// ours is an engine that starts tasks on a manager of its own with start.
func ours(start func(context.Context, *core.Manager, work), opts ...core.Option) func() engine {
	return func() engine {
		e, _ := oursOn(start, opts...)
		return e
	}
}

// oursOn returns such an engine and its manager.
func oursOn(start func(context.Context, *core.Manager, work), opts ...core.Option) (engine, *core.Manager) {
	m := core.New(append(slices.Clip(opts), core.WithLogger(quiet))...)
	return engine{
		starter: func(j job) func() {
			ctx, fn := j.ctx, j.marked()
			return func() { start(ctx, m, fn) }
		},
		cancel:    m.CancelAll,
		wait:      func() { must(m.Wait(context.Background())) },
		close:     func() { must(m.Close()) },
		completed: func() int { return int(m.Stats().Completed) },
	}, m
}

func plain(ctx context.Context, m *core.Manager, fn work) {
	m.Go(ctx, taskName, fn)
}

func withTimeout(ctx context.Context, m *core.Manager, fn work) {
	m.Go(ctx, taskName, fn, core.WithTimeout(timeout))
}

func withAttrs(ctx context.Context, m *core.Manager, fn work) {
	m.Go(ctx, taskName, fn, core.WithAttrs(
		slog.String("thread_id", example.thread),
		slog.Int("attachments", example.attachments),
		slog.String("template", example.template),
	))
}
