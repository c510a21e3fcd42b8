package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

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
		RescueStuckJobsAfter: rescueAfter,
		RetryPolicy:          soon{},
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

// soon retries a job after a second.
type soon struct{}

// NextRetry implements river.ClientRetryPolicy.
func (soon) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(time.Second) }
