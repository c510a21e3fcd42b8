// Agentgraph is an agent as a graph of nodes, on the framework eino. Its nodes take the manager of background tasks from
// their context, publish events, notify, and collect metrics in the background, and the close of the compiled graph says
// what became of all that. From the root of the repository:
//
//	go run ./examples/agentgraph
//	go run ./examples/agentgraph -json | jq .node_name    # the events alone on stdout
//
// The agent answers questions about the source of this program. It needs no server and no language model: the model is
// made up, and follows rules.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/publisher"
)

//go:embed *.go
var sources embed.FS

// options are the command line.
type options struct {
	question string
	json     bool          // events are lines of JSON, alone on stdout
	think    time.Duration // how long the model, which is made up, thinks
	slow     time.Duration // how long the receiver of notifications takes
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "agentgraph:", err)
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("agentgraph", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.question, "q", "What do notify and Close do?", "the `question`")
	flags.BoolVar(&o.json, "json", false, "print the events as JSON lines, and everything else to stderr")
	flags.DurationVar(&o.think, "think", 20*time.Millisecond, "how long the model, which is made up, thinks")
	flags.DurationVar(&o.slow, "slow", 300*time.Millisecond, "how long the receiver of notifications takes")
	return o, flags.Parse(args)
}

// run is main with everything that a test replaces.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	out := &lockedWriter{w: stdout} // events are written to it while the answer is
	events, text := publisher.Console(out), io.Writer(out)
	if o.json {
		events, text = publisher.Console(out, publisher.WithJSONLines()), stderr
	}
	hook, err := startReceiver(o.slow)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hook.close()) }()

	t := newTelemetry()
	ctx = core.NewContext(ctx, core.New(
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(t.tp), otelmw.WithMeterProvider(t.mp))),
		core.WithLogger(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))),
		core.WithTaskDefaults(core.WithTimeout(10*time.Second)),
		core.WithShutdownTimeout(10*time.Second),
	))
	graph, err := compile(ctx, config{
		sources: sources, publisher: events, notifyURL: hook.url, notifyTimeout: time.Second,
		think: o.think, tracer: t.tp.Tracer(scopeName), meter: t.mp.Meter(scopeName),
	})
	if err != nil {
		return err
	}
	err = ask(ctx, graph, o.question, text)

	// First the graph, which finishes its tasks, then the telemetry, which would otherwise lose their spans.
	ctx = context.WithoutCancel(ctx)
	stats, closeErr := graph.Close(ctx)
	reportErr := report(ctx, text, t, hook, stats)
	return errors.Join(err, closeErr, reportErr, t.shutdown(ctx))
}

func ask(ctx context.Context, graph *compiled, question string, out io.Writer) error {
	fmt.Fprintf(out, "Q: %s\n\nThe events, as they are published:\n", question)
	started := time.Now()
	result, err := graph.Invoke(ctx, "thread-1", question)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nThe answer, after %s:\n%s\n\n", inWords(time.Since(started)), result.Text)
	return err
}

// A lockedWriter lets several goroutines write to w.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
