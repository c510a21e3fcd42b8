package main

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"
	"golang.org/x/time/rate"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/middleware"
	"github.com/afterspan/afterspan/otelmw"
)

// tasksIn is what the manager is made of. All that it names is made before the manager, and so stopped after it: fx stops
// things in the reverse order of their construction.
type tasksIn struct {
	fx.In
	Lifecycle   fx.Lifecycle
	Logger      *slog.Logger
	Middlewares []placed     `group:"middlewares"`
	Outlive     []outlivesIt `group:"outlive_tasks"`
}

// outlivesIt is something that the Funcs of tasks use. The manager does nothing with it but depend on it. Without that the mail
// would be stopped before the tasks that send it whenever fx happens to make it after the manager.
type outlivesIt any

// newTasks returns the manager, which fx stops within its share of the time.
func newTasks(in tasksIn) *core.Manager {
	tasks := core.New(core.WithMiddleware(inOrder(in.Middlewares)...), core.WithLogger(in.Logger))
	in.Lifecycle.Append(fx.Hook{OnStop: func(ctx context.Context) error {
		// What is left is for the provider: the manager may need all that it gets.
		ctx, cancel := share(ctx, 3, 4)
		defer cancel()
		_, err := tasks.Shutdown(ctx)
		return err // a *core.ShutdownError names the tasks that were cancelled or did not stop: fx logs it
	}})
	return tasks
}

// placed is a middleware with its place in the chain. A value group of fx is in no order, a chain is.
type placed struct {
	place place
	core.Middleware
}

type place int

const (
	outermost place = iota // otelmw: it sees what those further in do
	innermost              // next to what it protects
)

type placedOut struct {
	fx.Out
	Middleware placed `group:"middlewares"`
}

func inOrder(all []placed) (chain []core.Middleware) {
	all = slices.SortedStableFunc(slices.Values(all), func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	for _, one := range all {
		chain = append(chain, one.Middleware)
	}
	return chain
}

// tracing makes the manager depend on the tracer provider: so that one is stopped after it.
func tracing(tp trace.TracerProvider) placedOut {
	return placedOut{Middleware: placed{outermost, otelmw.New(otelmw.WithTracerProvider(tp))}}
}

func limitRate() placedOut {
	return placedOut{Middleware: placed{innermost, middleware.RateLimit(rate.NewLimiter(100, 10))}}
}
