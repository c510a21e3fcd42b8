// Quickstart is an agent that answers a question from documents, and leaves to background tasks what must not
// hold the answer up: it publishes its progress, indexes what it reads, keeps a transcript, and notifies
// somebody. One task times out and one panics, as tasks do. From the root of the module:
//
//	go run ./examples/quickstart
//
// It needs no server and no language model: the answer is extractive, those sentences of the documents that
// fit the question best. Then come the spans, the logs and the statistics of the run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(exitCode(err))
}

// answerQuestion is the life of a program with background tasks: make a manager, work, shut down.
func answerQuestion(
	ctx context.Context, o options, tp *sdktrace.TracerProvider, logs slog.Handler, out io.Writer,
) (stats core.ShutdownStats, err error) {
	r, err := openResources(o)
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, r.close()) }() // after the shutdown, since the tasks use them

	// One manager for the whole process. The middleware is all that it takes to trace each task.
	tasks := core.New(
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp)), o.page.middleware()),
		core.WithLogger(slog.New(o.page.logHandler(traceHandler{logs}))),
		core.WithTaskDefaults(core.WithTimeout(10*time.Second)),
		core.WithShutdownTimeout(5*time.Second),
	)

	o.page.serve(tasks)
	result, err := newAgent(r, tp, tasks).invoke(ctx, o.question)
	if err == nil {
		_, err = io.WriteString(out, answerText(o, result, r.outDir))
	}

	// First the tasks, then the provider: the other way round, the spans of all that still runs are lost.
	// Ctrl-C ends the agent, but not this. Each has its own bound, so that slow tasks leave time to export.
	// shutdownErr names the tasks that had to be cancelled, or did not stop.
	ctx = context.WithoutCancel(ctx)
	stats, shutdownErr := tasks.Shutdown(ctx)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return stats, errors.Join(err, shutdownErr, tp.Shutdown(ctx))
}

// run is main with everything that a test replaces.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if o.page, err = newPage(o.pageAddr); err != nil {
		return fmt.Errorf("quickstart: %w", err)
	}
	screen := stdout
	if o.raw {
		screen = stderr
		err = showRaw(ctx, o, stdout, stderr)
	} else {
		err = showTree(ctx, o, stdout)
	}
	if err != nil {
		return fmt.Errorf("quickstart: %w", errors.Join(err, o.page.close()))
	}
	return o.page.stay(ctx, screen)
}
