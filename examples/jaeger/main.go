// Jaeger is an agent whose spans, and those of its background tasks, go to a Jaeger over OTLP. Its tasks end in all the
// ways that tasks end in, so that each can be looked at. From the root of the repository, with a Jaeger on this machine:
//
//	go run ./examples/jaeger                    # a trace for each task, linked both ways
//	go run ./examples/jaeger -relation child    # the tasks within the agent's trace
//	go run ./examples/jaeger -sample 0.1 -n 50  # a tenth of the agents' traces, and the tasks of just these
package main

import (
	"context"
	"errors"
	"flag"
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
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "jaeger:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	tp, err := newTracerProvider(ctx, o)
	if err != nil {
		return err
	}
	tasks := core.New(
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp), otelmw.WithRelation(o.relation))),
		core.WithLogger(newLogger(stderr)),
		core.WithShutdownTimeout(time.Second), // half of it to finish, and half to end after a cancel
	)
	err = ask(ctx, o, newAgent(o, tp, tasks), stdout)

	// First the tasks, then the provider: the other way round the spans of what still runs would be lost.
	ctx = context.WithoutCancel(ctx)
	_, shutdownErr := tasks.Shutdown(ctx)
	return errors.Join(err, shutdownErr, export(ctx, tp))
}

// ask asks the agent as often as the options say, each time in a conversation of its own, and prints where to look.
func ask(ctx context.Context, o options, a *agent, out io.Writer) error {
	for i := range o.questions {
		thread := fmt.Sprintf("thread-%d", i+1)
		span, err := a.invoke(ctx, thread)
		if err != nil {
			return err
		}
		if span.IsSampled() {
			printPages(out, o, thread, span.TraceID())
		} else {
			fmt.Fprintf(out, "%s is not sampled, nor are its tasks\n", thread)
		}
	}
	return nil
}

// export sends the last spans. That nobody takes them, the SDK says on stderr: it is no failure of the program.
func export(ctx context.Context, tp *sdktrace.TracerProvider) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := tp.Shutdown(ctx); err != nil {
		return fmt.Errorf("exporting the last spans: %w", err)
	}
	return nil
}

// newLogger returns a logger for a terminal. A panic's stack, which has many lines, is to be seen in Jaeger.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == "stack" || a.Key == slog.TimeKey) {
				return slog.Attr{}
			}
			return a
		},
	}))
}
