package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/riverqueue/rivercontrib/otelriver"
	_ "modernc.org/sqlite"

	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

// riverJobs are the variants of a job of River, on SQLite in a file. A job takes a thousand times as
// long as a task.
func riverJobs() []variant {
	theirs := otelriver.NewMiddleware(&otelriver.MiddlewareConfig{
		TracerProvider: sampled, MeterProvider: noMetrics, EnableTracePropagation: true,
	})
	ours := riverq.New(riverq.WithMiddleware(
		otelmw.New(otelmw.WithTracerProvider(sampled), otelmw.WithMeterProvider(noMetrics))))
	return []variant{
		jobs(nameRiver),
		jobs(nameOtelriver, theirs),
		jobs(nameRiverq, ours),
	}
}

// A sample has fewer jobs than other samples have tasks.
const tasksPerJob = 50

// batchOfJobs is how many jobs are inserted at a time, each with a span of its own.
const batchOfJobs = 20

// jobs is a variant that inserts jobs within a span, and does them.
func jobs(name string, plugins ...rivertype.Plugin) variant {
	return variant{name, func(_ mode, tasks int) (f figures, err error) {
		n := tasks / tasksPerJob
		dir, err := os.MkdirTemp("", "bench-river")
		if err != nil {
			return f, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		q, err := openQueue(filepath.Join(dir, "river.db"), plugins)
		if err != nil {
			return f, err
		}
		defer func() { _ = q.db.Close() }()
		if err := q.do(batchOfJobs); err != nil { // warms up
			return f, err
		}
		f = cost(func() { err = q.do(n) }).per(n)
		return f, err
	}}
}

// A queue is a client of River that inserts and works.
type queue struct {
	db     *sql.DB
	client *river.Client[*sql.Tx]
	worked *sync.WaitGroup
}

type jobArgs struct {
	Thread string `json:"thread_id"`
}

func (jobArgs) Kind() string { return taskName }

func openQueue(path string, plugins []rivertype.Plugin) (*queue, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	driver := riversqlite.New(db)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	q := &queue{db: db, worked: new(sync.WaitGroup)}
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(context.Context, *river.Job[jobArgs]) error {
		q.worked.Done()
		return nil
	}))
	q.client, err = river.NewClient(driver, &river.Config{
		FetchCooldown: time.Millisecond,
		Logger:        quiet,
		Plugins:       plugins,
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: poolSize}},
		Workers:       workers,
	})
	return q, err
}

// do inserts n jobs, does them, and stops the client, so that all of them are noted as completed.
func (q *queue) do(n int) error {
	ctx := spawner(sampled)
	q.worked.Add(n)
	for left := n; left > 0; left -= batchOfJobs {
		batch := make([]river.InsertManyParams, min(batchOfJobs, left))
		for i := range batch {
			batch[i].Args = jobArgs{example.thread}
		}
		if _, err := q.client.InsertMany(ctx, batch); err != nil {
			return err
		}
	}
	if err := q.client.Start(ctx); err != nil {
		return err
	}
	q.worked.Wait()
	if err := q.client.Stop(ctx); err != nil {
		return err
	}
	return q.check(n)
}

// check reports an error unless at least n jobs are completed, and no other is there.
func (q *queue) check(n int) error {
	var completed, other int
	row := q.db.QueryRow("SELECT count(*) FILTER (WHERE state = 'completed'), count(*) FILTER (WHERE state <> 'completed') FROM river_job")
	if err := row.Scan(&completed, &other); err != nil {
		return err
	}
	if completed < n || other > 0 {
		return fmt.Errorf("%d jobs are completed and %d are not, want %d", completed, other, n)
	}
	return nil
}
