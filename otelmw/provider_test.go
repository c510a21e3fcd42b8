package otelmw_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// What the SDK does wrong, or what the service has put into it, is not the task's concern.

// fragile is a span processor that panics where it is told to.
type fragile struct {
	sdktrace.SpanProcessor
	onStart, onEnd string // of spans of that name
}

func (p fragile) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.Name() == p.onStart {
		panic("no connection")
	}
}

func (p fragile) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.Name() == p.onEnd {
		panic("no connection")
	}
}

func panicking(name string) *sampler {
	return &sampler{decide: func(p sdktrace.SamplingParameters) sdktrace.SamplingDecision {
		if p.Name == name {
			panic("no connection")
		}
		return sdktrace.RecordAndSample
	}}
}

func TestSDKThatPanics(t *testing.T) {
	for name, test := range map[string]struct {
		opt   sdktrace.TracerProviderOption
		told  string
		ended []string // beside "agent"
		lost  bool     // the task has no span
	}{
		"sampler of the task's span": {
			sdktrace.WithSampler(panicking("job")), "the start of a span", []string{"spawn job"}, true,
		},
		"sampler of the spawn span": {
			sdktrace.WithSampler(panicking("spawn job")), "the start of a span", []string{"job"}, false,
		},
		"start of the task's span": {
			sdktrace.WithSpanProcessor(fragile{onStart: "job"}), "the start of a span", []string{"spawn job"}, true,
		},
		"start of the spawn span": {
			sdktrace.WithSpanProcessor(fragile{onStart: "spawn job"}), "the start of a span", []string{"job"}, false,
		},
		"end of the task's span": {
			sdktrace.WithSpanProcessor(fragile{onEnd: "job"}), "the end of a span", []string{"spawn job", "job"}, false,
		},
		"end of the spawn span": {
			sdktrace.WithSpanProcessor(fragile{onEnd: "spawn job"}), "the end of a span", []string{"spawn job", "job"}, false,
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t, test.opt)
			m := tel.manager()
			ctx, agent := tel.start("agent")
			task := m.Go(ctx, "job", func(ctx context.Context) error {
				if test.lost {
					assert.Equal(t, agent, trace.SpanFromContext(ctx), "the context is as without otelmw")
				}
				return errTask
			})
			agent.End()
			require.NoError(t, m.Wait(t.Context()))
			assert.Equal(t, core.Failed, task.Outcome())
			require.ErrorIs(t, task.Err(), errTask)
			assert.ElementsMatch(t, append(test.ended, "agent"), tel.names())
			assert.Equal(t, []string{"otelmw: " + test.told + ": panic: no connection"}, handled.take())

			point := tel.histogram(t, "afterspan.task.duration").DataPoints[0]
			assert.Equal(t, "failed", values(t, point.Attributes.ToSlice())["afterspan.task.outcome"])
			assert.Zero(t, tel.active(t))
		})
	}
}

// Where the span "spawn NAME" fails to start, the task links to the spawner, as without it.
func TestTaskLinksToTheSpawnerIfTheSpawnSpanFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSampler(panicking("spawn job")))
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, []trace.SpanContext{agent.SpanContext()}, linked(t, tel.span(t, "job")))
		assert.Len(t, handled.take(), 1)
	})
}

func TestMetricsThatPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		tel.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()),
			sdkmetric.WithExemplarFilter(func(context.Context) bool { panic("no connection") }))
		m := tel.manager()
		task := m.Go(context.Background(), "job", fail)
		tel.wait(t, m)
		require.ErrorIs(t, task.Err(), errTask)
		assertStatus(t, tel.span(t, "job"), errTask.Error())
		for _, err := range handled.take() {
			assert.Equal(t, "otelmw: a metric: panic: no connection", err)
		}
	})
}

// The manager should be shut down first. If it is not, spans are lost and nothing else.
func TestProvidersShutDownBeforeTheTaskEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		release := make(chan struct{})
		running := m.Go(ctx, "running", func(context.Context) error { <-release; panic("boom") })
		synctest.Wait()
		require.NoError(t, tel.traces.Shutdown(t.Context()))
		require.NoError(t, tel.meters.Shutdown(t.Context()))
		later := m.Go(ctx, "later", succeed)
		close(release)
		agent.End()
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, core.Failed, running.Outcome())
		assert.Equal(t, core.Completed, later.Outcome())
	})
}

// A batch processor and an exporter as in production: what was ended before the shutdown is there after it.
func TestManagerBeforeProviderLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exporter := keeping{tracetest.NewInMemoryExporter()}
		tel := newTelemetry(t, sdktrace.WithBatcher(exporter))
		m := tel.manager()
		ctx, agent := tel.start("agent")
		for range 10 {
			m.Go(ctx, "job", succeed)
		}
		agent.End()
		_, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.NoError(t, tel.traces.Shutdown(t.Context()))
		assert.Len(t, exporter.GetSpans(), 21)
	})
}

// keeping is an exporter that keeps its spans when it is shut down.
type keeping struct{ *tracetest.InMemoryExporter }

func (keeping) Shutdown(context.Context) error { return nil }

// The instruments and the tracer of the global providers are asked for by New, which is often a package's
// variable, long before main has set them.
var global = otelmw.New()

var setGlobal = sync.OnceValue(func() *telemetry { // the API keeps the first for good
	tel := &telemetry{recorder: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(tel.recorder)))
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(tel.reader)))
	return tel
})

func TestGlobalProvidersThatAreSetAfterNew(t *testing.T) {
	m := newManager(core.WithMiddleware(global))
	ctx, sc := remote(trace.FlagsSampled)
	release := make(chan struct{})
	m.Go(ctx, "before", func(ctx context.Context) error {
		<-release
		return errTask
	})
	tel := setGlobal()
	tel.recorder.Reset()
	m.Go(ctx, "after", fail)
	close(release)
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, []trace.SpanContext{sc}, linked(t, tel.span(t, "after")))
	assert.Zero(t, tel.active(t), "a task that was not counted as it started is not as it ends")
	assert.NotEmpty(t, tel.histogram(t, "afterspan.task.duration").DataPoints)
}
