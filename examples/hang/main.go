// Hang is a program with 10,000 background tasks, and the page that shows them. One of the tasks
// hangs, and nobody said which: find out where it is, and for which order. From the root of the
// repository:
//
//	go run ./examples/hang
//
// and open http://127.0.0.1:8099/debug/tasks/ in a browser.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/taskz"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8099", "where the page is served")
	n := flag.Int("tasks", 10_000, "how many tasks run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, *n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve serves the page until ctx is done, and then shuts the tasks down. The page is there until
// the end.
func serve(ctx context.Context, addr string, n int) error {
	tasks, handler := newTasks()
	mux := http.NewServeMux()
	mux.Handle("/debug/tasks/", handler)
	server := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	fmt.Printf("http://%s/debug/tasks/\n", addr)

	go (&shop{tasks: tasks}).open(ctx, n)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := tasks.Shutdown(ctx)
	return errors.Join(err, server.Close())
}

// newTasks returns a manager, and the page of its tasks.
func newTasks() (*core.Manager, http.Handler) {
	page := taskz.New(
		taskz.WithTitle("orders"),
		taskz.WithCancel(),
		taskz.WithTraceID(otelmw.TraceID),
		taskz.WithTraceURL("http://localhost:16686/trace/{trace_id}"),
	)
	lines := page.LogHandler(slog.NewTextHandler(io.Discard, nil)) // nowhere else, for this program
	slog.SetDefault(slog.New(lines))
	tasks := core.New(
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(sdktrace.NewTracerProvider())), page.Middleware()),
		core.WithLogger(slog.New(lines)),
	)
	return tasks, page.Handler(tasks)
}
