package dbtest

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// A counter is a client that counts its inserts.
type counter struct {
	riverq.Inserter
	calls, jobs atomic.Int64
}

func (c *counter) InsertMany(ctx context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error) {
	c.calls.Add(1)
	results, err := c.Inserter.InsertMany(ctx, jobs)
	c.jobs.Add(int64(len(results)))
	return results, err
}

// insertOnly returns a client that only inserts.
func insertOnly(t *testing.T, db database, plugins ...rivertype.Plugin) client {
	t.Helper()
	c, err := db.client(&river.Config{Logger: quiet, Plugins: plugins})
	require.NoError(t, err)
	return c
}

// newTasks returns a manager that logs nothing and is closed at the end of the test.
func newTasks(t *testing.T, opts ...core.Option) *core.Manager {
	t.Helper()
	m := core.New(append(opts, core.WithLogger(quiet))...)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// shutdownNow shuts m down without time to drain.
func shutdownNow(m *core.Manager) (core.ShutdownStats, error) {
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(time.Minute))
	defer cancel()
	go func() { _ = m.Close() }() // cuts the drain short
	return m.Shutdown(ctx)
}

func sleepy(ctx context.Context, _ mailArgs) error { <-ctx.Done(); return ctx.Err() }

// Tasks that a shutdown cancels, running or queued, are done by another process. Their jobs link to
// the span that the tasks would have linked to, and carry their attributes.
func TestHandover(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		inserts := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
		m := newTasks(t, core.WithLimit(1, 10), core.WithMiddleware(tel.middleware(), riverq.Handover(inserts)))
		spawns := map[string]trace.SpanContext{}
		for _, order := range []string{"running", "queued", "queued too"} {
			ctx, request := tel.start(t.Context(), "request")
			riverq.Go(ctx, m, mailArgs{order}, sleepy, core.WithAttrs(slog.String("order_id", order)))
			request.End()
			spawns[order] = request.SpanContext()
		}
		stats, err := shutdownNow(m)
		require.NoError(t, err, "nothing was lost")
		assert.Equal(t, 3, stats.HandedOver)
		assert.Equal(t, 3, stats.CancelledTasks)
		ended := tel.awaitSpans(t, "spawn send_mail", 3)
		for _, spawn := range ended {
			assert.Equal(t, true, value(spawn, "afterspan.task.handed_over"))
		}

		done := newTelemetry(t)
		startWorker(t, db, riverq.New(riverq.WithMiddleware(done.middleware())), succeed)
		for _, job := range done.awaitSpans(t, "send_mail", 3) {
			order, _ := value(job, "order_id").(string)
			require.Contains(t, spawns, order)
			require.Len(t, job.Links(), 1)
			link := job.Links()[0].SpanContext
			assert.Equal(t, spawns[order].TraceID(), link.TraceID())
			assert.Equal(t, spawns[order].TraceID().String(), value(job, "afterspan.origin.trace_id"))
			linksToSpawn := false
			for _, spawn := range ended {
				linksToSpawn = linksToSpawn || spawn.SpanContext().SpanID() == link.SpanID()
			}
			assert.True(t, linksToSpawn, "the job links to the task's own spawn span")
			delete(spawns, order)
		}
	})
}

// Only work that the shutdown interrupted is handed over.
func TestNotHandedOver(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		inserts := &counter{Inserter: insertOnly(t, db)}
		m := newTasks(t, core.WithMiddleware(riverq.Handover(inserts)))
		ctx := t.Context()
		cancelled := riverq.Go(ctx, m, mailArgs{"cancelled"}, sleepy)
		cancelled.Cancel()
		require.Error(t, cancelled.Wait(ctx))
		require.Error(t, riverq.Go(ctx, m, mailArgs{"timed out"}, sleepy, core.WithTimeout(time.Millisecond)).Wait(ctx))
		require.Error(t, riverq.Go(ctx, m, mailArgs{"failed"}, func(context.Context, mailArgs) error { return errMail }).Wait(ctx))
		riverq.Go(ctx, m, mailArgs{"completed"}, func(ctx context.Context, _ mailArgs) error { <-ctx.Done(); return nil })
		riverq.Go(ctx, m, mailArgs{"panics"}, func(ctx context.Context, _ mailArgs) error { <-ctx.Done(); panic("boom") })
		m.Go(ctx, "not started with Go", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		stats, err := shutdownNow(m)
		var lost *core.ShutdownError
		require.ErrorAs(t, err, &lost)
		assert.Len(t, lost.Cancelled, 2, "the one that panicked, and the one that is no job")
		assert.Zero(t, stats.HandedOver)
		assert.Zero(t, inserts.calls.Load())
	})
}

// What the manager refuses can be handed over as well. The job links to the span that wanted the task.
func TestHandoverOfRefused(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		inserts := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
		m := newTasks(t, core.WithLimit(1, 0),
			core.WithMiddleware(tel.middleware(), riverq.Handover(inserts, riverq.WithRefused())))
		refused := make(chan trace.SpanContext, 2)
		m.Go(t.Context(), "outer", func(ctx context.Context) error {
			refused <- trace.SpanContextFromContext(ctx)
			task := riverq.Go(ctx, m, mailArgs{"full"}, sleepy, core.WithAttrs(slog.String("order_id", "full")))
			assert.ErrorIs(t, task.Err(), core.ErrFull)
			return nil
		})
		require.NoError(t, m.Wait(t.Context()))
		require.NoError(t, m.Close())
		ctx, request := tel.start(t.Context(), "request")
		refused <- request.SpanContext()
		ctx, cancel := context.WithCancel(ctx)
		cancel() // the client of the request is gone
		assert.ErrorIs(t, riverq.Go(ctx, m, mailArgs{"closed"}, sleepy, core.WithAttrs(slog.String("order_id", "closed"))).Err(), core.ErrClosed)
		request.End()

		done := newTelemetry(t)
		startWorker(t, db, riverq.New(riverq.WithMiddleware(done.middleware())), succeed)
		want := map[any]string{"full": (<-refused).SpanID().String(), "closed": (<-refused).SpanID().String()}
		for _, job := range done.awaitSpans(t, "send_mail", 2) {
			assert.Equal(t, want[value(job, "order_id")], value(job, "afterspan.spawner.span_id"))
			assert.Len(t, job.Links(), 1)
		}
		tel.awaitSpans(t, "spawn send_mail", 2)
	})
}

// A thousand tasks need a few inserts.
func TestHandoverInBatches(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		const tasks = 2500
		inserts := &counter{Inserter: insertOnly(t, db)}
		handover := riverq.Handover(inserts, riverq.WithInsertTimeout(50*time.Second)) // SQLite is slow at this
		m := newTasks(t, core.WithMiddleware(handover), core.WithLimit(100, -1))
		for range tasks {
			riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		}
		stats, err := shutdownNow(m)
		require.NoError(t, err)
		t.Logf("%d tasks were handed over with %d inserts in %v", tasks, inserts.calls.Load(), stats.Duration)
		assert.Equal(t, tasks, stats.HandedOver)
		assert.LessOrEqual(t, inserts.calls.Load(), int64(50))
		assert.Equal(t, tasks, countJobs(t, db))
	})
}

// A job that was handed over has had its Spawn, in the manager, with a span or without.
func TestHandoverSpawnsOnce(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		var spawns atomic.Int64
		counts := core.Middleware{Spawn: func(ctx context.Context, _ *core.Task) context.Context {
			spawns.Add(1)
			return ctx
		}}
		inserts := insertOnly(t, db, riverq.New(riverq.WithMiddleware(counts)))
		m := newTasks(t, core.WithMiddleware(counts, riverq.Handover(inserts)))
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		stats, err := shutdownNow(m)
		require.NoError(t, err)
		assert.Equal(t, 1, stats.HandedOver)
		assert.EqualValues(t, 1, spawns.Load())
	})
}

// The same function is a task and a worker.
func TestWorkFunc(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		sent := make(chan string, 2)
		sendMail := func(_ context.Context, args mailArgs) error { sent <- args.Order; return nil }
		m := newTasks(t)
		require.NoError(t, riverq.Go(t.Context(), m, mailArgs{"task"}, sendMail).Wait(t.Context()))
		assert.Equal(t, "task", <-sent)

		config := newConfig()
		river.AddWorker(config.Workers, riverq.WorkFunc(sendMail))
		c := startClient(context.Background(), t, db, config)
		_, err := c.Insert(t.Context(), mailArgs{"job"}, nil)
		require.NoError(t, err)
		assert.Equal(t, "job", <-sent)
	})
}

func TestMisuse(t *testing.T) {
	assert.Panics(t, func() { riverq.Handover(nil) })
	assert.Panics(t, func() { riverq.Handover((*counter)(nil)) }, "as of a client that could not be made")
	assert.Panics(t, func() { riverq.Handover(inserterFunc(nil), riverq.WithMiddleware()) })
	assert.Panics(t, func() { riverq.New(riverq.WithRefused()) })
	assert.NotPanics(t, func() { riverq.New(nil, riverq.WithBaggage()) })
}
