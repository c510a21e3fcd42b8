package otelmw_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// The context that a Spawn returns: all of the spawner's but its span.

type valueKey string

// inEachSpawn runs test for every way in which a Spawn hides the spawner's span, also where the trace package's key could not
// be learned. spawn is what Spawn returns for ctx.
func inEachSpawn(t *testing.T, test func(t *testing.T, tel *telemetry, spawn func(ctx context.Context) context.Context)) {
	t.Helper()
	for _, known := range []bool{true, false} {
		for name, opts := range map[string][]otelmw.Option{
			"off": {noTraces, noMetrics}, "filtered": {filtered}, "metrics only": {noTraces}, "traced": {},
		} {
			t.Run(fmt.Sprintf("%s, key known: %v", name, known), func(t *testing.T) {
				if !known {
					defer otelmw.ForgetSpanKey()()
				}
				tel := newTelemetry(t)
				mw := tel.middleware(opts...)
				test(t, tel, func(ctx context.Context) context.Context { return mw.Spawn(ctx, core.NewTask("job")) })
			})
		}
	}
}

func TestSpawnHidesTheSpawnersSpan(t *testing.T) {
	inEachSpawn(t, func(t *testing.T, tel *telemetry, spawn func(context.Context) context.Context) {
		ctx, agent := tel.start("agent")
		span := trace.SpanFromContext(spawn(ctx))
		assert.NotEqual(t, agent, span)
		assert.Equal(t, agent.SpanContext(), span.SpanContext())
		assert.False(t, span.IsRecording())

		span.SetName("of the task")
		span.SetStatus(codes.Error, "of the task")
		span.SetAttributes(attribute.Bool("of_the_task", true))
		span.AddEvent("of the task")
		span.AddLink(trace.Link{SpanContext: agent.SpanContext()})
		span.End()
		require.True(t, agent.IsRecording())
		agent.End()
		ended := tel.span(t, "agent")
		assert.Empty(t, ended.Attributes())
		assert.Empty(t, ended.Events())
		assert.Empty(t, ended.Links())
		assert.Equal(t, codes.Unset, ended.Status().Code)
	})
}

// One that has ended already is hidden as well.
func TestSpawnHidesASpanThatHasEnded(t *testing.T) {
	inEachSpawn(t, func(t *testing.T, tel *telemetry, spawn func(context.Context) context.Context) {
		ctx, agent := tel.start("agent")
		agent.End()
		span := trace.SpanFromContext(spawn(ctx))
		assert.NotEqual(t, agent, span)
		assert.Equal(t, agent.SpanContext(), span.SpanContext())
	})
}

// Tracestate, flags, and that it is remote: nothing of a SpanContext is lost.
func TestSpawnKeepsTheWholeSpanContext(t *testing.T) {
	inEachSpawn(t, func(t *testing.T, tel *telemetry, spawn func(context.Context) context.Context) {
		for _, flags := range []trace.TraceFlags{0, trace.FlagsSampled, trace.FlagsSampled | trace.FlagsRandom} {
			ctx, sc := remote(flags)
			got := trace.SpanContextFromContext(spawn(ctx))
			assert.Equal(t, sc, got)
			assert.Equal(t, "vendor=7", got.TraceState().String())
			assert.Equal(t, flags, got.TraceFlags())
			assert.True(t, got.IsRemote())
		}
		ctx, sc := unsampled()
		assert.Equal(t, sc, trace.SpanContextFromContext(spawn(ctx)))
	})
}

// Without a spawner there is nothing to hide, and half a SpanContext is none.
func TestSpawnWithoutASpawnerLeavesTheSpanAlone(t *testing.T) {
	inEachSpawn(t, func(t *testing.T, tel *telemetry, spawn func(context.Context) context.Context) {
		assert.Equal(t, trace.SpanFromContext(context.Background()), trace.SpanFromContext(spawn(context.Background())))
		half := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}})
		ctx := trace.ContextWithSpanContext(context.Background(), half)
		assert.Equal(t, trace.SpanFromContext(ctx), trace.SpanFromContext(spawn(ctx)))
	})
}

// It is the current span that is hidden. The service may keep the span under a key of its own, and then wants that.
func TestSpawnLeavesOtherValuesAlone(t *testing.T) {
	inEachSpawn(t, func(t *testing.T, tel *telemetry, spawn func(context.Context) context.Context) {
		ctx, agent := tel.start("agent")
		ctx = context.WithValue(ctx, valueKey("span"), agent)
		ctx = context.WithValue(ctx, valueKey("tenant"), "acme")
		got := spawn(ctx)
		assert.Equal(t, "acme", got.Value(valueKey("tenant")))
		assert.Same(t, agent, got.Value(valueKey("span")))
		assert.Nil(t, got.Value(valueKey("other")))
		assert.Nil(t, got.Value(nil))
		assert.Nil(t, got.Value(0), "of another type than the trace package's key, which is 0, too")
		assert.Nil(t, got.Value([]int{1}), "that cannot be compared")
		again := trace.ContextWithSpan(got, agent)
		assert.Equal(t, agent, trace.SpanFromContext(again), "what is put in further in counts")
	})
}

// A Spawn outside this one may have made a context that ends.
func TestSpawnKeepsCancellation(t *testing.T) {
	inEachSpawn(t, func(t *testing.T, tel *telemetry, spawn func(context.Context) context.Context) {
		ctx, agent := tel.start("agent")
		defer agent.End()
		ctx, cancel := context.WithCancelCause(ctx)
		ctx, stop := context.WithTimeout(ctx, time.Hour)
		defer stop()
		got := spawn(ctx)
		want, _ := ctx.Deadline()
		deadline, ok := got.Deadline()
		assert.True(t, ok)
		assert.Equal(t, want, deadline)
		child, stop := context.WithCancel(got)
		defer stop()
		require.NoError(t, got.Err())
		cancel(errTask)
		require.ErrorIs(t, child.Err(), context.Canceled, "at once: the standard library knows what is behind it")
		require.ErrorIs(t, context.Cause(child), errTask)
		require.ErrorIs(t, got.Err(), context.Canceled)
	})
}

// Printing a context reads what is in it. Others may change that meanwhile.
func TestSpawnedContextPrintsAsItsKind(t *testing.T) {
	inEachSpawn(t, func(t *testing.T, tel *telemetry, spawn func(context.Context) context.Context) {
		ctx, agent := tel.start("agent")
		defer agent.End()
		assert.NotContains(t, fmt.Sprintf("%v %+v", spawn(ctx), spawn(ctx)), "{")
		assert.NotContains(t, fmt.Sprint(spawn(nameless{ctx})), "{")
		assert.Contains(t, fmt.Sprint(context.WithValue(spawn(ctx), valueKey("k"), 1)), fmt.Sprint(context.Background()))
	})
}

type nameless struct{ context.Context }

// What is a SpanContext alone can stay where it is.
func TestSpawnThatIsOffLeavesASpanContextAlone(t *testing.T) {
	mw := newTelemetry(t).middleware(noTraces, noMetrics)
	ctx, _ := remote(trace.FlagsSampled)
	assert.Equal(t, ctx, mw.Spawn(ctx, core.NewTask("job")))
	assert.Equal(t, context.Background(), mw.Spawn(context.Background(), core.NewTask("job")))
	recording, agent := newTelemetry(t).start("agent")
	defer agent.End()
	hidden := mw.Spawn(recording, core.NewTask("outer"))
	assert.Same(t, hidden, mw.Spawn(hidden, core.NewTask("inner")))
}

// Libraries start spans with the provider of the current one, and put the SpanContext that they get into the headers of
// their requests.
func TestSpansOfTheHiddenSpansProviderHandOnTheSpanContext(t *testing.T) {
	inEachSpawn(t, func(t *testing.T, tel *telemetry, spawn func(context.Context) context.Context) {
		ctx, agent := tel.start("agent")
		defer agent.End()
		ctx = spawn(ctx)
		ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("http").Start(ctx, "GET")
		assert.Equal(t, agent.SpanContext(), span.SpanContext())
		assert.Equal(t, agent.SpanContext(), trace.SpanContextFromContext(ctx))
	})
}

// So may an agent that instruments the process from outside: then the trace package's no-op has its provider.
func TestHiddenSpanHasTheProviderOfAnAgent(t *testing.T) {
	tel := newTelemetry(t)
	_, span := tel.start("agent")
	defer span.End()
	hidden := otelmw.HiddenSpan(instrumented{tracenoop.Span{}, tel.traces}, span.SpanContext())
	assert.Equal(t, trace.TracerProvider(tel.traces), hidden.TracerProvider())
}

type instrumented struct {
	trace.Span
	provider trace.TracerProvider
}

func (s instrumented) TracerProvider() trace.TracerProvider { return s.provider }

// A no-op that is not the one of trace/noop does not hand on what it does not know.
func TestNoopTracersOfOtherKindsDoNotLoseTheSpanContext(t *testing.T) {
	for name, tp := range map[string]trace.TracerProvider{
		"deprecated":         trace.NewNoopTracerProvider(),              //nolint:staticcheck // it is still in use
		"of the service":     wrapped{tp: trace.NewNoopTracerProvider()}, //nolint:staticcheck // it is still in use
		"of trace/noop, too": wrapped{tp: tracenoop.NewTracerProvider()},
	} {
		for _, relation := range []otelmw.Relation{otelmw.Link, otelmw.Child, otelmw.None} {
			inBubble(t, name+", "+relation.String(), func(t *testing.T) {
				tel := newTelemetry(t)
				m := tel.manager(otelmw.WithTracerProvider(tp), otelmw.WithRelation(relation))
				ctx, agent := tel.start("agent")
				m.Go(ctx, "job", func(ctx context.Context) error {
					assert.Equal(t, agent.SpanContext(), trace.SpanContextFromContext(ctx))
					assert.False(t, trace.SpanFromContext(ctx).IsRecording())
					return nil
				})
				agent.End()
				tel.wait(t, m)
			})
		}
	}
}

// wrapped is a provider of another type.
type wrapped struct {
	embedded.TracerProvider
	tp trace.TracerProvider
}

func (w wrapped) Tracer(name string, opts ...trace.TracerOption) trace.Tracer {
	return w.tp.Tracer(name, opts...)
}

// The key is not part of the trace package's API, and may be looked for in another way one day.
func TestSpanKeyIsLearned(t *testing.T) {
	assert.True(t, otelmw.LearnsSpanKey(trace.SpanFromContext))
	noop := trace.SpanFromContext(context.Background())
	assert.False(t, otelmw.LearnsSpanKey(func(context.Context) trace.Span { return noop }), "asks for none")
	assert.False(t, otelmw.LearnsSpanKey(func(ctx context.Context) trace.Span { ctx.Value(valueKey("span")); return noop }),
		"is not content with the answer")
}

// Where it is not known, tasks are what they are otherwise.
func TestTasksWithoutTheSpanKey(t *testing.T) {
	defer otelmw.ForgetSpanKey()()
	for _, relation := range []otelmw.Relation{otelmw.Link, otelmw.Child, otelmw.None} {
		inBubble(t, relation.String(), func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(otelmw.WithRelation(relation))
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", succeed)
			agent.End()
			tel.wait(t, m)
			job := tel.span(t, "job")
			switch relation {
			case otelmw.Link:
				requireRoot(t, job)
				assert.Equal(t, []trace.SpanContext{tel.span(t, "spawn job").SpanContext()}, linked(t, job))
			case otelmw.Child:
				assert.Equal(t, agent.SpanContext(), job.Parent())
			case otelmw.None:
				requireRoot(t, job)
			}
		})
	}
}

// What a middleware between the Spawn and the run sees, before there is a span.
func TestMiddlewareOutsideSeesTheSpawnersSpanContextOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		ctx, agent := tel.start("agent")
		outside := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			assert.Equal(t, agent.SpanContext(), trace.SpanContextFromContext(ctx))
			assert.False(t, trace.SpanFromContext(ctx).IsRecording())
			return next(ctx, task)
		})
		m := newManager(core.WithMiddleware(outside, tel.middleware()))
		m.Go(ctx, "job", succeed)
		require.NoError(t, m.Wait(t.Context()))
		agent.End()
	})
}
