package main

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"
	"golang.org/x/time/rate"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/middleware"
	"github.com/afterspan/afterspan/otelmw"
)

// tasksIn is what the manager depends on. fx makes all of it before the manager, and so stops it after the manager: fx
// stops things in the reverse order of their construction.
type tasksIn struct {
	fx.In
	Lifecycle   fx.Lifecycle
	Logger      *slog.Logger
	Middlewares []placed     `group:"middlewares"`
	Outlive     []outlivesIt `group:"outlive_tasks"`
}

// outlivesIt is something that tasks use, such as the mail. The manager only depends on it. Without that fx might make
// the mail after the manager, and stop it before the tasks that send it.
type outlivesIt any

// newTasks returns the manager, which fx stops within its share of the time.
func newTasks(in tasksIn) *core.Manager {
	tasks := core.New(core.WithMiddleware(inOrder(in.Middlewares)...), core.WithLogger(in.Logger))
	in.Lifecycle.Append(fx.StopHook(func(ctx context.Context) error {
		ctx, cancel := share(ctx, 3, 4) // the rest is for the tracer provider
		defer cancel()
		_, err := tasks.Shutdown(ctx)
		return err // a *core.ShutdownError names the tasks that were cancelled or did not stop: fx logs it
	}))
	return tasks
}

// tracing makes the manager depend on the tracer provider, which is therefore stopped after it.
func tracing(tp trace.TracerProvider) placedOut {
	return placedOut{Middleware: placed{outermost, otelmw.New(otelmw.WithTracerProvider(tp))}}
}

func limitRate() placedOut {
	return placedOut{Middleware: placed{innermost, middleware.RateLimit(rate.NewLimiter(100, 10))}}
}
