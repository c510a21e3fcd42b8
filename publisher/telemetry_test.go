package publisher_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/publisher"
)

// telemetry is the real SDK, with a recorder that keeps the spans in memory.
type telemetry struct {
	recorder *tracetest.SpanRecorder
	traces   *sdktrace.TracerProvider
}

// newTelemetry samples all spans, unless an option says otherwise.
func newTelemetry(opts ...sdktrace.TracerProviderOption) *telemetry {
	tel := &telemetry{recorder: tracetest.NewSpanRecorder()}
	tel.traces = sdktrace.NewTracerProvider(append([]sdktrace.TracerProviderOption{
		sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithSpanProcessor(tel.recorder),
	}, opts...)...)
	return tel
}

func (tel *telemetry) middleware(opts ...otelmw.Option) core.Middleware {
	return otelmw.New(append([]otelmw.Option{
		otelmw.WithTracerProvider(tel.traces), otelmw.WithMeterProvider(noop.NewMeterProvider()),
	}, opts...)...)
}

func (tel *telemetry) manager(opts ...otelmw.Option) *core.Manager {
	return newManager(core.WithMiddleware(tel.middleware(opts...)))
}

// start starts a span of the service itself.
func (tel *telemetry) start(name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	return tel.traces.Tracer("service").Start(context.Background(), name, opts...)
}

// span returns the only ended span with that name.
func (tel *telemetry) span(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	var found []sdktrace.ReadOnlySpan
	for _, s := range tel.recorder.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	require.Len(t, found, 1, "spans named %q", name)
	return found[0]
}

// both runs the test as two subtests, with the function Go and with an Ordered.
func both(t *testing.T, test func(*testing.T, func(context.Context, *core.Manager, publisher.Publisher, publisher.Event))) {
	t.Helper()
	t.Run("Publish", func(t *testing.T) {
		test(t, func(ctx context.Context, m *core.Manager, p publisher.Publisher, e publisher.Event) {
			publisher.Go(ctx, m, p, e)
		})
	})
	t.Run("Ordered", func(t *testing.T) {
		test(t, func(ctx context.Context, m *core.Manager, p publisher.Publisher, e publisher.Event) {
			publisher.NewOrdered(m, p).Go(ctx, e)
		})
	})
}

type publishFunc = func(context.Context, *core.Manager, publisher.Publisher, publisher.Event)

// The event leads to the span of its task. That span links to the spawn span, which is a child of
// the agent's span.
func TestEventLeadsToItsTaskAndThatToItsSpawner(t *testing.T) {
	both(t, func(t *testing.T, publishWith publishFunc) {
		tel, sink := newTelemetry(), &inbox{}
		m := tel.manager()
		ctx, agent := tel.start("agent")
		publishWith(ctx, m, sink, small("t-1", ""))
		agent.End()
		require.NoError(t, m.Wait(t.Context()))

		task, spawn := tel.span(t, "publish_event"), tel.span(t, "spawn publish_event")
		got := sink.only(t).SpanContext()
		assert.True(t, got.Equal(task.SpanContext().WithRemote(true)), "%v", got)
		assert.NotEqual(t, agent.SpanContext().TraceID(), got.TraceID())
		require.Len(t, task.Links(), 1)
		assert.True(t, task.Links()[0].SpanContext.Equal(spawn.SpanContext()))
		assert.Equal(t, agent.SpanContext().SpanID(), spawn.Parent().SpanID())
	})
}

func TestSpanOfTheTaskSaysWhatTheEventIs(t *testing.T) {
	both(t, func(t *testing.T, publishWith publishFunc) {
		tel, sink := newTelemetry(), &inbox{}
		m := tel.manager()
		publishWith(t.Context(), m, sink, small("t-1", ""))
		require.NoError(t, m.Wait(t.Context()))
		attrs := make(map[string]string)
		for _, kv := range tel.span(t, "publish_event").Attributes() {
			attrs[string(kv.Key)] = kv.Value.String()
		}
		assert.Equal(t, "node_execution", attrs["kind"])
		assert.Equal(t, "t-1", attrs["thread_id"])
	})
}

func TestConsumerLinksToTheTaskThatPublished(t *testing.T) {
	tel := newTelemetry()
	m := tel.manager()
	// A consumer is usually in another process.
	consume := publisher.Func(func(_ context.Context, e publisher.Event) error {
		_, handle := tel.start("handle", trace.WithLinks(trace.Link{SpanContext: e.SpanContext()}))
		handle.End()
		return nil
	})
	publisher.Go(t.Context(), m, consume, small("t-1", ""))
	require.NoError(t, m.Wait(t.Context()))
	links := tel.span(t, "handle").Links()
	require.Len(t, links, 1)
	assert.Equal(t, tel.span(t, "publish_event").SpanContext().SpanID(), links[0].SpanContext.SpanID())
	assert.True(t, links[0].SpanContext.IsRemote())
}

// A consumer sees that the span was not sampled, and can still link to it.
func TestEventOfASpawnerThatIsNotSampled(t *testing.T) {
	both(t, func(t *testing.T, publishWith publishFunc) {
		tel, sink := newTelemetry(sdktrace.WithSampler(sdktrace.NeverSample())), &inbox{}
		m := tel.manager()
		ctx, agent := tel.start("agent")
		publishWith(ctx, m, sink, small("t-1", ""))
		agent.End()
		require.NoError(t, m.Wait(t.Context()))
		got := sink.only(t).SpanContext()
		assert.True(t, got.IsValid())
		assert.False(t, got.IsSampled())
		assert.Empty(t, tel.recorder.Ended())
	})
}

func TestWithoutTheMiddlewareTheSpawnersSpanTravels(t *testing.T) {
	both(t, func(t *testing.T, publishWith publishFunc) {
		tel, sink, m := newTelemetry(), &inbox{}, newManager()
		ctx, agent := tel.start("agent")
		publishWith(ctx, m, sink, small("t-1", ""))
		agent.End()
		require.NoError(t, m.Wait(t.Context()))
		got := sink.only(t).SpanContext()
		assert.True(t, got.Equal(agent.SpanContext().WithRemote(true)), "%v", got)
	})
}

func TestChildOfTheSpawnerStaysInItsTrace(t *testing.T) {
	both(t, func(t *testing.T, publishWith publishFunc) {
		tel, sink := newTelemetry(), &inbox{}
		m := tel.manager(otelmw.WithRelation(otelmw.Child))
		ctx, agent := tel.start("agent")
		publishWith(ctx, m, sink, small("t-1", ""))
		agent.End()
		require.NoError(t, m.Wait(t.Context()))
		got := sink.only(t).SpanContext()
		assert.Equal(t, agent.SpanContext().TraceID(), got.TraceID())
		assert.Equal(t, tel.span(t, "publish_event").SpanContext().SpanID(), got.SpanID())
	})
}
