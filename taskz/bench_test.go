package taskz_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// What the page costs a task. Each has its floor, a task without the page, beside it.
func BenchmarkTask(b *testing.B) {
	attrs := core.WithAttrs(slog.String("thread_id", "t-1"), slog.Int("attachments", 3), slog.String("template", "thanks"))
	traceID := taskz.WithTraceID(func(context.Context, *core.Task) string { return "0af7651916cd43dd8448eb211c80319c" })
	for _, bm := range []struct {
		name string
		page *taskz.Page
		opts []core.TaskOption
	}{
		{"no page", nil, nil},
		{"page", taskz.New(), nil},
		{"no page, attributes", nil, []core.TaskOption{attrs}},
		{"page, attributes", taskz.New(), []core.TaskOption{attrs}},
		{"page, attributes and traces", taskz.New(traceID), []core.TaskOption{attrs}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			opts := []core.Option{core.WithLogger(slog.New(slog.DiscardHandler))}
			if bm.page != nil {
				opts = append(opts, core.WithMiddleware(bm.page.Middleware()))
			}
			m := core.New(opts...)
			b.ReportAllocs()
			for b.Loop() {
				<-m.Go(context.Background(), "send_receipt", succeed, bm.opts...).Done()
			}
		})
	}
}
