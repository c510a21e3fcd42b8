// Fx is a web service put together by go.uber.org/fx, with background tasks that fx stops in the right order: no more
// requests, then the tasks, then what they use, and the tracer provider. From the root of the repository:
//
//	go run ./examples/fx
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
)

// options is what the command line says.
type options struct {
	addr        string
	stopTimeout time.Duration // for all that stops
	mail        time.Duration // how long a mail takes
}

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

// run does what App.Run does, but that it listens for signals from the beginning. App.Run does so when all has started: a
// SIGTERM that comes with the first requests would end the process, and their tasks with it.
func run(app *fx.App) (exitCode int) {
	signals := app.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), app.StartTimeout())
	defer cancel()
	if err := app.Start(ctx); err != nil { // fx has logged it
		return 1
	}
	signal := <-signals // SIGTERM, Ctrl-C, or the server that has failed
	ctx, cancel = context.WithTimeout(context.Background(), app.StopTimeout())
	defer cancel()
	if err := app.Stop(ctx); err != nil {
		return 1
	}
	return signal.ExitCode
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("fx", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to serve on")
	flags.DurationVar(&o.stopTimeout, "stop", 15*time.Second, "how long the stop may take, all in all")
	flags.DurationVar(&o.mail, "mail", 2*time.Second, "how long a mail takes")
	return o, flags.Parse(args)
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
		fx.WithLogger(func(l *slog.Logger) fxevent.Logger {
			events := &fxevent.SlogLogger{Logger: l}
			events.UseLogLevel(slog.LevelDebug) // of fx only what goes wrong
			return events
		}),
	)
}
