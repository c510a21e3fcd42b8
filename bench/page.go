package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// paged is an engine whose manager has the live page. So many readers look at it, each once a second, as
// a browser does. The tasks have the three attributes.
func paged(readers int) func() engine {
	return func() engine {
		page := taskz.New(taskz.WithTraceID(func(context.Context, *core.Task) string { return "0af7651916cd43dd8448eb211c80319c" }))
		open, m := oursOn(withAttrs, core.WithMiddleware(page.Middleware()))
		stop := watchPage(page.Handler(m), readers)
		closeManager := open.close
		open.close = func() {
			stop()
			closeManager()
		}
		return open
	}
}

// watchPage starts readers of a page, and returns what stops them.
func watchPage(page http.Handler, readers int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for ctx.Err() == nil {
				page.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/tasks/?format=json&limit=50", nil))
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}
