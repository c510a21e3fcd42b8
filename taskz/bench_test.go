package taskz_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// What a second of readers costs, however many they are: a snapshot and one answer.
func BenchmarkReader(b *testing.B) {
	for _, tasks := range []int{1000, 10_000, 100_000} {
		page := taskz.New()
		m := core.New(core.WithMiddleware(page.Middleware()), core.WithLogger(slog.New(slog.DiscardHandler)))
		release := make(chan struct{})
		for i := range tasks {
			m.Go(context.Background(), "send_receipt", func(context.Context) error { <-release; return nil },
				core.WithAttrs(slog.Int("order_id", i), slog.String("template", "thanks")))
		}
		for name, query := range map[string]string{"page": "?format=json", "search": "?format=json&q=order_id%3D77"} {
			b.Run(fmt.Sprintf("%d tasks, %s", tasks, name), func(b *testing.B) {
				for b.Loop() {
					w := httptest.NewRecorder()
					page.Handler(m).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/tasks/"+query, nil)) // a new handler has no answer yet
				}
			})
		}
		close(release)
		_ = m.Wait(context.Background())
	}
}
