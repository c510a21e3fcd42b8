// Fx is a web service put together by go.uber.org/fx, with background tasks that fx stops in the right order: no more
// requests, then the tasks, then what they use, and the tracer provider. From the root of the repository:
//
//	go run ./examples/fx
//
// tasks.go has the manager of the tasks, and what makes the order right.
package main

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"

	"go.uber.org/fx"
)

func main() {
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		os.Exit(2)
	default:
		os.Exit(run(fx.New(service(o, os.Stdout))))
	}
}

// service is all that the program is made of. The order of the lines does not matter: what depends on what does.
func service(o options, out io.Writer) fx.Option {
	return fx.Options(
		background(o, out),
		fx.Provide(newOrders, newServer),
		fx.Invoke(func(*server) {}), // somebody has to want it
	)
}

// background is the part without the server.
func background(o options, out io.Writer) fx.Option {
	return fx.Options(
		fx.Supply(o),
		fx.StopTimeout(o.stopTimeout),
		fx.Provide(
			func() *slog.Logger { return slog.New(slog.NewTextHandler(out, nil)) },
			newExporter, newTracerProvider,
			tracing, limitRate,
			newTasks,
			newMail,
		),
		fx.WithLogger(newFxLogger),
	)
}
