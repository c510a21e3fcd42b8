// Jaeger is an agent whose spans, and those of its background tasks, go to a Jaeger over OTLP. Its tasks end in all the
// ways that tasks end in, so that each can be looked at. From the root of the repository, with a Jaeger on this machine:
//
//	go run ./examples/jaeger                    # a trace for each task, linked both ways
//	go run ./examples/jaeger -relation child    # the tasks within the agent's trace
//	go run ./examples/jaeger -sample 0.1 -n 50  # a tenth of the agents' traces, and the tasks of just these
//
// tasks.go has the tasks, agent.go the agent that starts them, and telemetry.go the way to Jaeger.
package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/internal/program"
	"github.com/afterspan/afterspan/otelmw"
)

func main() { program.Main("jaeger", run) }

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
