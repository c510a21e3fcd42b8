package otelmw_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

func TestMain(m *testing.M) {
	otel.SetErrorHandler(&handled)                 // once, since the first one set is kept by the API for good
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the examples' tasks fail on purpose
	m.Run()
}

// handled is what otel.Handle was given. No test here runs beside another, so it is the running one's.
var handled errorLog

type errorLog struct {
	mu   sync.Mutex
	errs []error
}

func (l *errorLog) Handle(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// take returns the errors since the last call.
func (l *errorLog) take() (texts []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.errs {
		texts = append(texts, err.Error())
	}
	l.errs = nil
	return texts
}

// telemetry is the real SDK, which keeps in memory what it is given.
type telemetry struct {
	recorder *tracetest.SpanRecorder
	traces   *sdktrace.TracerProvider
	reader   *sdkmetric.ManualReader
	meters   *sdkmetric.MeterProvider
}

// newTelemetry samples all, unless an option says otherwise. At the end of the test nothing may be
// left that otel.Handle was given and that the test did not take.
func newTelemetry(t testing.TB, opts ...sdktrace.TracerProviderOption) *telemetry {
	t.Helper()
	handled.take()
	t.Cleanup(func() { assert.Empty(t, handled.take(), "given to otel.Handle") })

	tel := &telemetry{recorder: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	tel.traces = sdktrace.NewTracerProvider(append([]sdktrace.TracerProviderOption{
		sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithResource(resource.Empty()),
		sdktrace.WithSpanProcessor(tel.recorder),
	}, opts...)...)
	tel.meters = sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(tel.reader), sdkmetric.WithResource(resource.Empty()))
	return tel
}

func (tel *telemetry) middleware(opts ...otelmw.Option) core.Middleware {
	return otelmw.New(append([]otelmw.Option{
		otelmw.WithTracerProvider(tel.traces), otelmw.WithMeterProvider(tel.meters),
	}, opts...)...)
}

func (tel *telemetry) manager(opts ...otelmw.Option) *core.Manager {
	return newManager(core.WithMiddleware(tel.middleware(opts...)))
}

// newManager returns a manager whose log nobody reads.
func newManager(opts ...core.Option) *core.Manager {
	return core.New(append([]core.Option{core.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
}

// start starts a span of the service's own.
func (tel *telemetry) start(name string) (context.Context, trace.Span) {
	return tel.startIn(context.Background(), name)
}

func (tel *telemetry) startIn(ctx context.Context, name string) (context.Context, trace.Span) {
	return tel.traces.Tracer("service").Start(ctx, name)
}

// wait waits for all tasks. Then every span that was started has ended, or it would never be exported.
func (tel *telemetry) wait(t *testing.T, m *core.Manager) {
	t.Helper()
	require.NoError(t, m.Wait(t.Context()))
	tel.requireAllEnded(t)
}

func (tel *telemetry) requireAllEnded(t *testing.T) {
	t.Helper()
	for _, s := range tel.recorder.Started() {
		require.False(t, s.EndTime().IsZero(), "the span %q has not ended", s.Name())
	}
}

// span returns the one span of that name that has ended.
func (tel *telemetry) span(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := tel.spans(name)
	require.Len(t, spans, 1, "spans named %q in %q", name, tel.names())
	return spans[0]
}

// spans returns the spans of that name, in the order in which they ended.
func (tel *telemetry) spans(name string) (found []sdktrace.ReadOnlySpan) {
	for _, s := range tel.recorder.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	return found
}

// names returns the names of all spans, in the order in which they ended.
func (tel *telemetry) names() []string {
	names := []string{}
	for _, s := range tel.recorder.Ended() {
		names = append(names, s.Name())
	}
	return names
}

// job runs one task "job" without a spawner, and returns its span.
func (tel *telemetry) job(
	t *testing.T, fn core.Func, opts []otelmw.Option, taskOpts ...core.TaskOption,
) sdktrace.ReadOnlySpan {
	t.Helper()
	m := tel.manager(opts...)
	m.Go(context.Background(), "job", fn, taskOpts...)
	tel.wait(t, m)
	return tel.span(t, "job")
}

// inBubble runs one case of a table with a fake clock. It fails if a goroutine is left behind.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// values returns attributes by their keys. A key that is there twice fails the test.
func values(t *testing.T, attrs []attribute.KeyValue) map[string]any {
	t.Helper()
	m := make(map[string]any, len(attrs))
	for _, kv := range attrs {
		require.NotContains(t, m, string(kv.Key))
		m[string(kv.Key)] = kv.Value.AsInterface()
	}
	return m
}

// foreign returns those of a span's attributes that are not afterspan's own.
func foreign(t *testing.T, s sdktrace.ReadOnlySpan) map[string]any {
	t.Helper()
	m := values(t, s.Attributes())
	for _, key := range []string{
		"afterspan.task.name", "afterspan.task.id", "afterspan.task.queue_time", "afterspan.task.outcome",
	} {
		require.Contains(t, m, key)
		delete(m, key)
	}
	return m
}

// spawnedBy returns the attributes that tell of a spawner, and of the trace that it all began in.
func spawnedBy(spawner, origin trace.SpanContext) map[string]any {
	return map[string]any{
		"afterspan.spawner.trace_id": spawner.TraceID().String(),
		"afterspan.spawner.span_id":  spawner.SpanID().String(),
		"afterspan.origin.trace_id":  origin.TraceID().String(),
	}
}

// originIn is what is left of a spawner where the relation is not Link.
func originIn(origin trace.SpanContext) map[string]any {
	return map[string]any{"afterspan.origin.trace_id": origin.TraceID().String()}
}

// withoutSpawner returns a span's foreign attributes but for those that tell of its spawner.
func withoutSpawner(m map[string]any) map[string]any {
	return without(m, "afterspan.spawner.trace_id", "afterspan.spawner.span_id", "afterspan.origin.trace_id")
}

func without(m map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		delete(m, key)
	}
	return m
}

// linked returns what a span links to. Each link says what is at its other end: a task leads to its
// spawner, and a span "spawn NAME" to its task.
func linked(t *testing.T, s sdktrace.ReadOnlySpan) (to []trace.SpanContext) {
	t.Helper()
	kind := "spawner"
	if strings.HasPrefix(s.Name(), "spawn ") {
		kind = "task"
	}
	for _, l := range s.Links() {
		require.Equal(t, []attribute.KeyValue{attribute.String("afterspan.link.kind", kind)}, l.Attributes)
		to = append(to, l.SpanContext)
	}
	return to
}

// requireRoot checks that s began a trace of its own.
func requireRoot(t *testing.T, s sdktrace.ReadOnlySpan) {
	t.Helper()
	require.False(t, s.Parent().IsValid(), "%q has a parent", s.Name())
	require.False(t, s.Parent().TraceID().IsValid(), "%q has a parent", s.Name())
}

// What the tasks of these tests do.

var errTask = errors.New("smtp: mailbox full")

func succeed(context.Context) error { return nil }

func fail(context.Context) error { return errTask }

// obey ends as soon as its context is done, as every task should.
func obey(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// until ends when release is closed, and not before.
func until(release <-chan struct{}) core.Func {
	return func(context.Context) error { <-release; return nil }
}

// spawnFunc returns a middleware that only sees the spawn.
func spawnFunc(f func(context.Context, *core.Task) context.Context) core.Middleware {
	return core.Middleware{Spawn: f}
}

// around is a middleware that only sees the run.
func around(h func(ctx context.Context, t *core.Task, next core.Handler) error) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error { return h(ctx, t, next) }
	})
}

// sampler decides by what is known when a span starts, and keeps it.
type sampler struct {
	mu     sync.Mutex
	seen   []sdktrace.SamplingParameters
	decide func(sdktrace.SamplingParameters) sdktrace.SamplingDecision
}

func (s *sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	s.mu.Lock()
	s.seen = append(s.seen, p)
	s.mu.Unlock()
	return sdktrace.SamplingResult{Decision: s.decide(p)}
}

func (s *sampler) Description() string { return "test" }

// of returns what the sampler was asked about the spans of that name.
func (s *sampler) of(name string) (asked []sdktrace.SamplingParameters) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.seen {
		if p.Name == name {
			asked = append(asked, p)
		}
	}
	return asked
}

// dropping samples all spans but those of the names.
func dropping(names ...string) *sampler {
	return &sampler{decide: func(p sdktrace.SamplingParameters) sdktrace.SamplingDecision {
		if slices.Contains(names, p.Name) {
			return sdktrace.Drop
		}
		return sdktrace.RecordAndSample
	}}
}

// unsampled returns a context with a span that its own sampler dropped.
func unsampled() (context.Context, trace.SpanContext) {
	never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	ctx, span := never.Tracer("service").Start(context.Background(), "agent")
	return ctx, span.SpanContext()
}

// remote returns a context as a server has it after it read a traceparent header.
func remote(flags trace.TraceFlags) (context.Context, trace.SpanContext) {
	state, _ := trace.ParseTraceState("vendor=7")
	sc := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0x4b, 0xf9}, SpanID: trace.SpanID{0x00, 0xf0, 0x67},
		TraceFlags: flags, TraceState: state, Remote: true,
	})
	return trace.ContextWithRemoteSpanContext(context.Background(), sc), sc
}

// panickingSpan is a span of a tracer that is broken.
type panickingSpan struct{ trace.Span }

func (panickingSpan) SpanContext() trace.SpanContext        { return trace.SpanContext{} }
func (panickingSpan) IsRecording() bool                     { return true }
func (panickingSpan) AddEvent(string, ...trace.EventOption) { panic("no connection") }

func contextWith(span trace.Span) context.Context {
	return trace.ContextWithSpan(context.Background(), span)
}
