// Agentgraph is an agent as a graph of nodes, on the framework eino. Its nodes take the manager of background tasks
// from their context, publish events, notify, and collect metrics in the background. The close of the compiled graph
// says what became of all that. From the root of the repository:
//
//	go run ./examples/agentgraph
//	go run ./examples/agentgraph -json | jq .node_name    # the events alone on stdout
//
// background.go has what the nodes leave to tasks, and graph.go the compiled graph with its Close.
//
// The agent answers questions about the source of this program. It needs no server and no language model: the model is
// made up, and follows rules.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/internal/program"
	"github.com/afterspan/afterspan/examples/internal/screen"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/publisher"
)

//go:embed *.go
var sources embed.FS

func main() { program.Main("agentgraph", run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	events, text := publisher.Console(stdout), stdout
	if o.json {
		events, text = publisher.Console(stdout, publisher.WithJSONLines()), stderr
	}
	hook, err := startReceiver(o.slow)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hook.close()) }()
	view, err := screen.NewView()
	if err != nil {
		return err
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(view.Exporter))
	metrics := sdkmetric.NewManualReader()
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics))

	ctx = core.NewContext(ctx, core.New(
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp), otelmw.WithMeterProvider(mp))),
		core.WithLogger(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))),
		core.WithTaskDefaults(core.WithTimeout(10*time.Second)),
		core.WithShutdownTimeout(10*time.Second),
	))
	graph, err := compile(ctx, config{
		sources: sources, publisher: events, notifyURL: hook.url, notifyTimeout: time.Second, client: http.DefaultClient,
		think: o.think, tracer: tp.Tracer(scopeName), meter: mp.Meter(scopeName),
	})
	if err != nil {
		return err
	}
	err = ask(ctx, graph, o.question, text)

	// First the graph, which finishes its tasks, then the telemetry, which would otherwise lose their spans.
	ctx = context.WithoutCancel(ctx)
	stats, closeErr := graph.Close(ctx)
	err = errors.Join(err, closeErr, tp.Shutdown(ctx))
	return errors.Join(err, report(ctx, text, view, metrics, hook.received(), stats), mp.Shutdown(ctx))
}

func ask(ctx context.Context, graph *compiled, question string, out io.Writer) error {
	fmt.Fprintf(out, "Q: %s\n\nThe events, as they are published:\n", question)
	started := time.Now()
	result, err := graph.Invoke(ctx, "thread-1", question)
	if err != nil {
		return err
	}
	took := time.Since(started).Round(100 * time.Microsecond)
	_, err = fmt.Fprintf(out, "\nThe answer, after %v:\n%s\n\n", took, result.Text)
	return err
}
