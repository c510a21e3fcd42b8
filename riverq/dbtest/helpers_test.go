package dbtest

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

// mailArgs are the arguments of most jobs here.
type mailArgs struct {
	Order string `json:"order"`
}

func (mailArgs) Kind() string { return "send_mail" }

// telemetry records spans.
type telemetry struct {
	provider *sdktrace.TracerProvider
	recorder *tracetest.SpanRecorder
}

func newTelemetry(t *testing.T) *telemetry {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return &telemetry{provider, recorder}
}

// middleware returns otelmw, which records here.
func (tel *telemetry) middleware(opts ...otelmw.Option) core.Middleware {
	return otelmw.New(append(opts, otelmw.WithTracerProvider(tel.provider),
		otelmw.WithMeterProvider(metricnoop.NewMeterProvider()))...)
}

// start starts a span, such as that of a request.
func (tel *telemetry) start(ctx context.Context, name string) (context.Context, trace.Span) {
	return tel.provider.Tracer("test").Start(ctx, name)
}

// spans returns the ended spans with that name.
func (tel *telemetry) spans(name string) (found []sdktrace.ReadOnlySpan) {
	for _, span := range tel.recorder.Ended() {
		if span.Name() == name {
			found = append(found, span)
		}
	}
	return found
}

// awaitSpans waits until n spans with that name have ended.
func (tel *telemetry) awaitSpans(t *testing.T, name string, n int) []sdktrace.ReadOnlySpan {
	t.Helper()
	require.Eventually(t, func() bool { return len(tel.spans(name)) >= n }, 20*time.Second, 5*time.Millisecond,
		"%d spans %s", n, name)
	spans := tel.spans(name)
	require.Len(t, spans, n)
	return spans
}

func (tel *telemetry) span(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	return tel.awaitSpans(t, name, 1)[0]
}

// value returns an attribute of a span, or nil.
func value(span sdktrace.ReadOnlySpan, key string) any {
	for _, a := range span.Attributes() {
		if a.Key == attribute.Key(key) {
			return a.Value.AsInterface()
		}
	}
	return nil
}

// assertLinked asserts that a job's span is a root that links to that span.
func assertLinked(t *testing.T, job sdktrace.ReadOnlySpan, to trace.SpanContext) {
	t.Helper()
	assert.False(t, job.Parent().IsValid(), "it is a root")
	require.Len(t, job.Links(), 1)
	link := job.Links()[0].SpanContext
	assert.Equal(t, to.TraceID(), link.TraceID())
	assert.Equal(t, to.SpanID(), link.SpanID())
}

// quiet drops the lines of River.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// newConfig returns a configuration for a client that works fast.
func newConfig(plugins ...rivertype.Plugin) *river.Config {
	return &river.Config{
		FetchCooldown:     time.Millisecond,
		FetchPollInterval: 20 * time.Millisecond,
		Logger:            quiet,
		Plugins:           plugins,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 10}},
		RetryPolicy:       soon{},
		TestOnly:          true,
		Workers:           river.NewWorkers(),
	}
}

// soon retries at once.
type soon struct{}

func (soon) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(time.Millisecond) }

// startClient starts a client on db, and stops it at the end of the test.
func startClient(ctx context.Context, t *testing.T, db database, config *river.Config) client {
	t.Helper()
	c, err := db.client(config)
	require.NoError(t, err)
	require.NoError(t, c.Start(ctx))
	t.Cleanup(func() { _ = c.StopAndCancel(context.Background()) })
	return c
}

// startWorker starts a client whose only worker is work.
func startWorker(t *testing.T, db database, plugin *riverq.Plugin, work func(context.Context, *river.Job[mailArgs]) error) client {
	t.Helper()
	config := newConfig(plugin)
	river.AddWorker(config.Workers, river.WorkFunc(work))
	return startClient(context.Background(), t, db, config)
}

// awaitState waits until a job has that state, and returns it.
func awaitState(t *testing.T, c client, id int64, state rivertype.JobState) *rivertype.JobRow {
	t.Helper()
	var job *rivertype.JobRow
	require.Eventually(t, func() bool {
		var err error
		job, err = c.JobGet(context.Background(), id)
		require.NoError(t, err)
		return job.State == state
	}, 20*time.Second, 5*time.Millisecond, "job %d is %s", id, state)
	return job
}
