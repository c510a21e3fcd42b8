// River is a service whose background work outlives its processes. An API inserts jobs and starts
// tasks, two workers do the jobs, and one of the workers is killed with -9 in the middle. From the
// root of the repository:
//
//	go run ./examples/river                                            # SQLite: no server needed
//	DATABASE_URL=postgres://localhost/test go run ./examples/river     # a schema of its own in PostgreSQL
//
// This file has what a service would have: a handler, the API's process and its stop, and a worker.
// jobs.go has the two functions, processes.go starts and kills the processes.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/internal/program"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

func main() { program.Main("river", run) }

// An api takes orders.
type api struct {
	tracer trace.Tracer
	jobs   client // of River
	tasks  *core.Manager
}

// order is the handler of a request. The receipt must be sent, whatever happens to this process: it
// is a job. The cache can be warmed by this process: it is a task, and becomes a job only if the
// process has to stop.
func (a *api) order(ctx context.Context, id string) error {
	ctx, span := a.tracer.Start(ctx, "POST /orders")
	defer span.End()
	ctx = core.ContextWithAttrs(ctx, slog.String("order_id", id))
	riverq.Go(ctx, a.tasks, CacheArgs{id}, warmCache)
	_, err := a.jobs.Insert(ctx, ReceiptArgs{id}, nil)
	return err
}

// runAPI is the API's process. It takes four orders, and waits for SIGTERM.
func runAPI(ctx context.Context, out io.Writer) error {
	tp, err := newTracerProvider(ctx, out)
	if err != nil {
		return err
	}
	defer flush(tp)
	db, err := openDatabase(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.close()
	traced := otelmw.New(otelmw.WithTracerProvider(tp))
	jobs, err := db.client(&river.Config{Plugins: []rivertype.Plugin{riverq.New(riverq.WithMiddleware(traced))}})
	if err != nil {
		return err
	}
	tasks := core.New(
		core.WithMiddleware(traced, riverq.Handover(jobs)),
		core.WithLimit(1, 100), // one task at a time: the others are still queued at the stop
		core.WithLogger(quiet),
	)
	a := &api{tp.Tracer("examples/river"), jobs, tasks}
	for i := range 4 {
		request := context.WithoutCancel(ctx) // SIGTERM does not cancel it
		if err := a.order(request, fmt.Sprintf("o-%d", i+1)); err != nil {
			return err
		}
	}
	<-ctx.Done()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*time.Second)
	defer cancel()
	stats, err := tasks.Shutdown(ctx) // two seconds to finish, and two to hand over
	fmt.Fprintf(out, "stopped: %d tasks completed, %d handed over\n", stats.CompletedTasks, stats.HandedOver)
	return err
}

// rescueAfter is how long a job may run before River takes it for one of a dead process. It must be
// longer than any job takes.
const rescueAfter = 5 * time.Second

// runWorker is the process of a worker. It does jobs until SIGTERM.
func runWorker(ctx context.Context, out io.Writer) error {
	tp, err := newTracerProvider(ctx, out)
	if err != nil {
		return err
	}
	defer flush(tp)
	db, err := openDatabase(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.close()

	workers := river.NewWorkers()
	river.AddWorker(workers, riverq.WorkFunc(sendReceipt))
	river.AddWorker(workers, riverq.WorkFunc(warmCache))
	traced := otelmw.New(otelmw.WithTracerProvider(tp))
	jobs, err := db.client(&river.Config{
		JobTimeout:           rescueAfter - time.Second,
		Plugins:              []rivertype.Plugin{riverq.New(riverq.WithMiddleware(traced, announce(out)))},
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1}},
		RescueStuckJobsAfter: rescueAfter, // an hour by default
		SoftStopTimeout:      time.Second,
		Workers:              workers,
	})
	if err != nil {
		return err
	}
	if err := jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	<-ctx.Done()
	return jobs.Stop(context.WithoutCancel(ctx))
}

// announce returns a middleware that prints a line as a job begins.
func announce(out io.Writer) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			fmt.Fprintf(out, "%-18s job %d attempt %d began\n", t.Name(), t.ID(), t.Attempt())
			return next(ctx, t)
		}
	})
}
