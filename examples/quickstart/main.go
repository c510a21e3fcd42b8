// Quickstart is a shop: an HTTP service that takes an order, answers at once, and leaves the rest
// to background tasks. One of them times out and one panics, as tasks do. From the root of the
// repository:
//
//	go run ./examples/quickstart
//
// It places one order and ends, as at a deploy. Then come the spans, the log and the figures of the
// shutdown. No other server is needed. tasks.go has what the tasks do. With -http 127.0.0.1:8080 it
// serves until Ctrl-C, and shows its tasks at http://127.0.0.1:8080/debug/tasks/.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/internal/screen"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/taskz"
)

func main() {
	addr := flag.String("http", "", "serve on this `address` until Ctrl-C, with a page of the tasks at /debug/tasks/")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string, out io.Writer) error {
	// OpenTelemetry as in any service, but for the exporter: the spans are drawn on the screen.
	view, err := screen.NewView()
	if err != nil {
		return err
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(view.Exporter))

	// One manager for the whole program. otelmw traces every task, and links it with its request.
	// The page remembers what became of it.
	page := taskz.New(taskz.WithTraceID(otelmw.TraceID))
	tasks := core.New(
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp)), page.Middleware()),
		core.WithLogger(slog.New(page.LogHandler(view.Logger.Handler()))),
		core.WithTaskDefaults(core.WithTimeout(10*time.Second)),
	)

	shop, err := openShop(tasks, tp.Tracer("quickstart"))
	if err != nil {
		return err
	}
	defer func() { _ = shop.close() }()
	mux := http.NewServeMux()
	mux.Handle("POST /orders", shop)
	mux.Handle("/debug/tasks/", page.Handler(tasks))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	listener, err := net.Listen("tcp", cmp.Or(addr, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	go func() { _ = server.Serve(listener) }()

	url := "http://" + listener.Addr().String()
	if err := placeOrder(ctx, out, url); err != nil {
		return err
	}
	if addr != "" {
		fmt.Fprintf(out, "The tasks: %s/debug/tasks/\nCtrl-C ends the program.\n\n", url)
		<-ctx.Done()
	}

	// The end of a program: no new requests, then the tasks, then the last spans. Each has a time
	// of its own. The error names the tasks that did not finish.
	stats, err := shutdown(ctx, server, tasks, tp)
	if err != nil {
		return err
	}
	return report(out, view, stats)
}

// shutdown ends everything in the right order. Tasks that run get up to 15 s to finish.
func shutdown(
	ctx context.Context, server *http.Server, tasks *core.Manager, tp *sdktrace.TracerProvider,
) (stats core.ShutdownStats, err error) {
	within := func(d time.Duration, stop func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
		defer cancel()
		return stop(ctx)
	}
	err = errors.Join(
		within(8*time.Second, server.Shutdown), // an unused connection may take 6 s
		within(15*time.Second, func(ctx context.Context) (err error) {
			stats, err = tasks.Shutdown(ctx)
			return err
		}),
		within(5*time.Second, tp.Shutdown),
	)
	return stats, err
}

// placeOrder is the customer.
func placeOrder(ctx context.Context, out io.Writer, url string) error {
	body := strings.NewReader(`{"id":"o-7","customer":"ada","items":["tea","kettle","cup"]}`)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/orders", body)
	if err != nil {
		return err
	}
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	fmt.Fprintf(out, "POST /orders answered %s after %v: %s\n\n",
		response.Status, time.Since(began).Round(100*time.Microsecond), text)
	return err
}

func report(out io.Writer, view *screen.View, stats core.ShutdownStats) error {
	if err := view.Draw(out); err != nil {
		return err
	}
	text, err := json.MarshalIndent(stats, "", "  ")
	fmt.Fprintf(out, "\nWhat the shutdown of the background tasks came to: %s\n", text)
	return err
}
