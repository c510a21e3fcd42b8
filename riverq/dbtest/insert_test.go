package dbtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

func mails(n int) []river.InsertManyParams {
	jobs := make([]river.InsertManyParams, n)
	for i := range jobs {
		jobs[i].Args = mailArgs{fmt.Sprint(i)}
	}
	return jobs
}

// textArgs are of another kind.
type textArgs struct{ mailArgs }

func (textArgs) Kind() string { return "send_text" }

// metadataOf returns what is in the metadata of a job, other than River's own.
func metadataOf(t *testing.T, c client, id int64) map[string]any {
	t.Helper()
	job, err := c.JobGet(t.Context(), id)
	require.NoError(t, err)
	var metadata map[string]any
	require.NoError(t, json.Unmarshal(job.Metadata, &metadata))
	maps.DeleteFunc(metadata, func(key string, _ any) bool { return strings.HasPrefix(key, "river:") })
	return metadata
}

// Up to a bound each job of a batch has a span of its own. Beyond it the jobs of a kind share one.
func TestBatches(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		for name, test := range map[string]struct {
			jobs  []river.InsertManyParams
			spans map[string]int
			opts  []riverq.Option
		}{
			"small":         {mails(100), map[string]int{"spawn send_mail": 100}, nil},
			"large":         {mails(101), map[string]int{"spawn send_mail": 1}, nil},
			"of two kinds":  {append(mails(100), river.InsertManyParams{Args: textArgs{}}), map[string]int{"spawn send_mail": 1, "spawn send_text": 1}, nil},
			"another bound": {mails(3), map[string]int{"spawn send_mail": 1}, []riverq.Option{riverq.WithBatchSpawns(2)}},
			"no bound":      {mails(300), map[string]int{"spawn send_mail": 300}, []riverq.Option{riverq.WithBatchSpawns(math.MaxInt)}},
		} {
			t.Run(name, func(t *testing.T) {
				tel := newTelemetry(t)
				c := insertOnly(t, db, riverq.New(append(test.opts, riverq.WithMiddleware(tel.middleware()))...))
				ctx, request := tel.start(t.Context(), "request")
				results, err := c.InsertMany(ctx, test.jobs)
				require.NoError(t, err)
				request.End()
				spawned := map[string]bool{}
				for kind, n := range test.spans {
					for _, span := range tel.awaitSpans(t, kind, n) {
						spawned[fmt.Sprintf("00-%s-%s-01", span.SpanContext().TraceID(), span.SpanContext().SpanID())] = true
					}
				}
				linked := map[string]bool{}
				for _, r := range results {
					linked[metadataOf(t, c, r.Job.ID)["traceparent"].(string)] = true
				}
				assert.Equal(t, spawned, linked)
			})
		}
	})
}

// COPY returns no rows.
func TestInsertManyFast(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		c := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
		ctx, request := tel.start(t.Context(), "request")
		n, err := c.InsertManyFast(ctx, mails(3))
		require.NoError(t, err)
		assert.Equal(t, 3, n)
		request.End()
		tel.awaitSpans(t, "spawn send_mail", 3)
	})
}

// An insert that fails is a refused task: its span says so, without being an error of its own.
func TestFailedInsert(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		c := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
		require.NoError(t, db.exec(t.Context(), "DROP TABLE "+db.table("river_job")))
		ctx, request := tel.start(t.Context(), "request")
		_, err := c.Insert(ctx, mailArgs{"o-1"}, nil)
		require.Error(t, err)
		request.End()
		assert.Equal(t, "rejected", value(tel.span(t, "spawn send_mail"), "afterspan.task.outcome"))
		require.Len(t, tel.span(t, "request").Events(), 1)
		assert.Equal(t, "task refused", tel.span(t, "request").Events()[0].Name)
	})
}

// A panic in an insert passes through, and leaves no span open.
func TestInsertPanics(t *testing.T) {
	tel := newTelemetry(t)
	plugin := riverq.New(riverq.WithMiddleware(tel.middleware()))
	ctx, request := tel.start(t.Context(), "request")
	assert.PanicsWithValue(t, "boom", func() {
		_, _ = plugin.InsertMany(ctx, []*rivertype.JobInsertParams{{Kind: "send_mail"}},
			func(context.Context) ([]*rivertype.JobInsertResult, error) { panic("boom") })
	})
	request.End()
	assert.Equal(t, "rejected", value(tel.span(t, "spawn send_mail"), "afterspan.task.outcome"))
}

// A middleware that panics costs the job its trace, and not more.
func TestSpawnPanics(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		broken := core.Middleware{Spawn: func(context.Context, *core.Task) context.Context { panic("boom") }}
		c := insertOnly(t, db, riverq.New(riverq.WithMiddleware(broken), riverq.WithLogger(quiet)))
		inserted, err := c.Insert(t.Context(), mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		assert.Empty(t, metadataOf(t, c, inserted.Job.ID))
	})
}

// A unique job that is there already is no alarm. The request says which one it is.
func TestDuplicate(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		c := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
		once := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
		first, err := c.Insert(t.Context(), mailArgs{"o-1"}, once)
		require.NoError(t, err)
		ctx, request := tel.start(t.Context(), "request")
		second, err := c.Insert(ctx, mailArgs{"o-1"}, once)
		require.NoError(t, err)
		require.True(t, second.UniqueSkippedAsDuplicate)
		request.End()
		events := tel.span(t, "request").Events()
		require.Len(t, events, 1)
		assert.Equal(t, "job skipped as duplicate", events[0].Name)
		assert.Equal(t, first.Job.ID, events[0].Attributes[1].Value.AsInt64())
		spawn := tel.span(t, "spawn send_mail")
		assert.Equal(t, "pending", value(spawn, "afterspan.task.outcome"))
		assert.Equal(t, codes.Unset, spawn.Status().Code)
	})
}

// An insert in a transaction returns before the commit. After a rollback the span is all that is left.
func TestInsertTx(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		for _, commit := range []bool{true, false} {
			tel := newTelemetry(t)
			c := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
			ctx, request := tel.start(t.Context(), "request")
			require.NoError(t, db.insertTx(ctx, c, commit, mailArgs{"o-1"}))
			request.End()
			assert.Equal(t, "pending", value(tel.span(t, "spawn send_mail"), "afterspan.task.outcome"))
			assert.Equal(t, 1, countJobs(t, db))
		}
	})
}

// A periodic job has no spawner: its span is a root without a link, whatever span Start was called in.
func TestPeriodicJob(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		config := newConfig(riverq.New(riverq.WithMiddleware(tel.middleware())))
		config.PeriodicJobs = []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(time.Hour),
			func() (river.JobArgs, *river.InsertOpts) { return mailArgs{"o-1"}, nil },
			&river.PeriodicJobOpts{RunOnStart: true})}
		river.AddWorker(config.Workers, river.WorkFunc(succeed))
		ctx, span := tel.start(context.Background(), "main")
		defer span.End()
		startClient(ctx, t, db, config)
		job := tel.span(t, "send_mail")
		assert.False(t, job.Parent().IsValid())
		assert.Empty(t, job.Links())
		assert.Empty(t, tel.spans("spawn send_mail"))
	})
}

// request returns a context with a span that ends with the test.
func (tel *telemetry) request(t *testing.T) context.Context {
	ctx, span := tel.start(t.Context(), "request")
	t.Cleanup(func() { span.End() })
	return ctx
}

// The attempt's queue time counts from when the job could have started.
func TestQueueTime(t *testing.T) {
	tel := newTelemetry(t)
	plugin := riverq.New(riverq.WithMiddleware(tel.middleware()))
	for scheduled, want := range map[time.Duration]float64{-time.Hour: 3600, time.Hour: 0} {
		tel.recorder.Reset()
		job := &rivertype.JobRow{
			ID: 7, Kind: "send_mail", Attempt: 1, Metadata: []byte(`{}`),
			CreatedAt: time.Now().Add(-2 * time.Hour), ScheduledAt: time.Now().Add(scheduled),
		}
		require.NoError(t, plugin.Work(t.Context(), job, func(context.Context) error { return nil }))
		span := tel.span(t, "send_mail")
		assert.InDelta(t, want, value(span, "afterspan.task.queue_time"), 60)
		assert.InDelta(t, 7200, value(span, "river.since_insert"), 60)
	}
}
