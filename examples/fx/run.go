package main

import (
	"context"
	"flag"
	"time"

	"go.uber.org/fx"
)

// options is what the command line says.
type options struct {
	addr        string
	stopTimeout time.Duration // for all that stops
	mail        time.Duration // how long a mail takes
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("fx", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to serve on")
	flags.DurationVar(&o.stopTimeout, "stop", 15*time.Second, "how long the stop may take, all in all")
	flags.DurationVar(&o.mail, "mail", 2*time.Second, "how long a mail takes")
	return o, flags.Parse(args)
}

// run does what App.Run does, but listens for signals from the beginning. App.Run does so once all has started: a
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
