package dbtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

func succeed(context.Context, *river.Job[mailArgs]) error { return nil }

// The job's span links to the span of its insert, has its attributes, and those about the job.
func TestJobLinksToItsInsert(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		c := startWorker(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())), succeed)
		ctx, request := tel.start(t.Context(), "request")
		ctx = core.ContextWithAttrs(ctx, slog.String("order_id", "o-1"), slog.Int("items", 3))
		inserted, err := c.Insert(ctx, mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		request.End()

		spawn, job := tel.span(t, "spawn send_mail"), tel.span(t, "send_mail")
		assert.Equal(t, request.SpanContext().SpanID(), spawn.Parent().SpanID())
		assert.Equal(t, "pending", value(spawn, "afterspan.task.outcome"))
		assertLinked(t, job, spawn.SpanContext())
		for key, want := range map[string]any{
			"afterspan.task.name":        "send_mail",
			"afterspan.task.id":          inserted.Job.ID,
			"afterspan.task.outcome":     "completed",
			"afterspan.origin.trace_id":  request.SpanContext().TraceID().String(),
			"afterspan.spawner.trace_id": request.SpanContext().TraceID().String(),
			"order_id":                   "o-1",
			"items":                      int64(3),
			"river.queue":                "default",
			"river.priority":             int64(1),
			"river.max_attempts":         int64(25),
		} {
			assert.Equal(t, want, value(job, key), key)
		}
		assert.GreaterOrEqual(t, value(job, "river.since_insert"), 0.0)
		assert.Nil(t, value(job, "afterspan.task.attempt"))
	})
}

// Every attempt links to the same insert, and says which it is.
func TestAttempts(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		c := startWorker(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())),
			func(_ context.Context, job *river.Job[mailArgs]) error {
				if job.Attempt < 3 {
					return errors.New("no")
				}
				return nil
			})
		ctx, request := tel.start(t.Context(), "request")
		inserted, err := c.Insert(ctx, mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		request.End()
		awaitState(t, c, inserted.Job.ID, rivertype.JobStateCompleted)
		spawn := tel.span(t, "spawn send_mail")
		for i, job := range tel.awaitSpans(t, "send_mail", 3) {
			assertLinked(t, job, spawn.SpanContext())
			assert.Equal(t, inserted.Job.ID, value(job, "afterspan.task.id"))
			assert.Equal(t, []any{nil, int64(2), int64(3)}[i], value(job, "afterspan.task.attempt"))
			assert.Equal(t, []string{"failed", "failed", "completed"}[i], value(job, "afterspan.task.outcome"))
		}
	})
}

// A job that a job inserts links to that job, and has the origin of the first.
func TestJobOfAJob(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		config := newConfig(riverq.New(riverq.WithMiddleware(tel.middleware())))
		var c client
		river.AddWorker(config.Workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[mailArgs]) error {
			_, err := c.Insert(ctx, textArgs{}, nil)
			return err
		}))
		river.AddWorker(config.Workers, river.WorkFunc(func(context.Context, *river.Job[textArgs]) error { return nil }))
		c = startClient(context.Background(), t, db, config)
		ctx, request := tel.start(t.Context(), "request")
		_, err := c.Insert(core.ContextWithAttrs(ctx, slog.String("order_id", "o-1")), mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		request.End()
		mail, spawn, text := tel.span(t, "send_mail"), tel.span(t, "spawn send_text"), tel.span(t, "send_text")
		assert.Equal(t, mail.SpanContext().SpanID(), spawn.Parent().SpanID())
		assertLinked(t, text, spawn.SpanContext())
		assert.Equal(t, request.SpanContext().TraceID().String(), value(text, "afterspan.origin.trace_id"))
		assert.Equal(t, "o-1", value(text, "order_id"))
	})
}

// A job without a trace is no part of the trace in which the client was started. It is part of one that a
// middleware outside began for it.
func TestJobWithoutATrace(t *testing.T) {
	work := func(t *testing.T, ctx context.Context, tel *telemetry) sdktrace.ReadOnlySpan {
		plugin := riverq.New(riverq.WithMiddleware(tel.middleware()))
		job := &rivertype.JobRow{ID: 1, Kind: "send_mail", Metadata: []byte(`{}`)}
		require.NoError(t, plugin.Work(ctx, job, func(context.Context) error { return nil }))
		return tel.span(t, "send_mail")
	}
	t.Run("span of Start", func(t *testing.T) {
		tel := newTelemetry(t)
		ctx, startup := tel.start(t.Context(), "startup")
		startup.End()
		assert.Empty(t, work(t, ctx, tel).Links())
	})
	t.Run("span of a middleware", func(t *testing.T) {
		tel := newTelemetry(t)
		ctx, outer := tel.start(t.Context(), "river.work")
		defer outer.End()
		assertLinked(t, work(t, ctx, tel), outer.SpanContext())
	})
	t.Run("unsampled span of a middleware", func(t *testing.T) {
		tel := newTelemetry(t)
		never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
		ctx, outer := never.Tracer("test").Start(t.Context(), "river.work")
		defer outer.End()
		assertLinked(t, work(t, ctx, tel), outer.SpanContext())
	})
	t.Run("trace from elsewhere", func(t *testing.T) {
		tel := newTelemetry(t)
		_, span := tel.start(t.Context(), "far away")
		assertLinked(t, work(t, trace.ContextWithRemoteSpanContext(t.Context(), span.SpanContext()), tel), span.SpanContext())
	})
}

// A cancel by a middleware of the chain is a failure, for River and for us.
func TestCancelByAMiddleware(t *testing.T) {
	tel := newTelemetry(t)
	impatient := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, task *core.Task) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return next(ctx, task)
		}
	})
	plugin := riverq.New(riverq.WithMiddleware(tel.middleware(), impatient))
	job := &rivertype.JobRow{ID: 1, Kind: "send_mail", Metadata: []byte(`{}`)}
	err := plugin.Work(t.Context(), job, func(ctx context.Context) error { return ctx.Err() })
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "failed", value(tel.span(t, "send_mail"), "afterspan.task.outcome"))
}

// A timeout of an earlier call, by a retry of the chain, does not count.
func TestTimeoutOfAnEarlierCall(t *testing.T) {
	tel := newTelemetry(t)
	again := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, task *core.Task) error {
			_ = next(ctx, task)
			return next(ctx, task)
		}
	})
	plugin := riverq.New(riverq.WithMiddleware(tel.middleware(), again))
	job, calls := &rivertype.JobRow{ID: 1, Kind: "send_mail", Metadata: []byte(`{}`)}, 0
	err := plugin.Work(t.Context(), job, func(ctx context.Context) error {
		if calls++; calls == 2 {
			return errMail // of a hook before the worker, for example
		}
		ctx, cancel := context.WithTimeout(ctx, 0)
		defer cancel()
		return plugin.WorkEnd(ctx, job, ctx.Err())
	})
	require.ErrorIs(t, err, errMail)
	assert.Equal(t, "failed", value(tel.span(t, "send_mail"), "afterspan.task.outcome"))
}

// River gets the error that the job returned, and not one of ours.
func TestErrorIsRivers(t *testing.T) {
	plugin := riverq.New()
	job := &rivertype.JobRow{ID: 1, Kind: "send_mail", Metadata: []byte(`{}`)}
	for _, want := range []error{errors.New("no"), river.JobSnooze(0), river.JobCancel(errors.New("no"))} {
		got := plugin.Work(t.Context(), job, func(context.Context) error { return want })
		assert.Same(t, want, got)
	}
	wraps := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, task *core.Task) error {
			return fmt.Errorf("wrapped: %w", next(ctx, task))
		}
	})
	plugin = riverq.New(riverq.WithMiddleware(wraps))
	got := plugin.Work(t.Context(), job, func(context.Context) error { return river.JobCancel(errors.New("no")) })
	require.NotErrorIs(t, got, context.Canceled, "River would put the job back if it were stopping")
	require.ErrorIs(t, got, &rivertype.JobCancelError{})
}
