package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Child: one trace, and no link in it. A link between two spans of a trace breaks Jaeger's page of that trace.
func TestChildIsInTheSpawnersTrace(t *testing.T) {
	for name, spawner := range map[string]func(*telemetry) (context.Context, trace.SpanContext){
		"recording": func(tel *telemetry) (context.Context, trace.SpanContext) {
			ctx, span := tel.start("agent")
			return ctx, span.SpanContext()
		},
		"ended before Go": func(tel *telemetry) (context.Context, trace.SpanContext) {
			ctx, span := tel.start("agent")
			span.End()
			return ctx, span.SpanContext()
		},
		"remote": func(*telemetry) (context.Context, trace.SpanContext) { return remote(trace.FlagsSampled) },
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(otelmw.WithRelation(otelmw.Child))
			ctx, parent := spawner(tel)
			m.Go(ctx, "job", succeed)
			require.NoError(t, m.Wait(t.Context()))
			assert.NotContains(t, tel.names(), "spawn job")
			task := tel.span(t, "job")
			assert.Equal(t, parent, task.Parent())
			assert.Equal(t, parent.TraceID(), task.SpanContext().TraceID())
			assert.Equal(t, parent.TraceState(), task.Parent().TraceState())
			assert.Equal(t, trace.SpanKindConsumer, task.SpanKind())
			assert.Empty(t, task.Links())
			assert.Equal(t, originIn(parent), foreign(t, task), "the spawner's ids are there already")
		})
	}
}

// A child shares its parent's fate, as every child does.
func TestChildOfAnUnsampledSpawnerIsNotSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
		m := tel.manager(otelmw.WithRelation(otelmw.Child))
		ctx, sc := unsampled()
		m.Go(ctx, "job", func(ctx context.Context) error {
			inside := trace.SpanContextFromContext(ctx)
			assert.Equal(t, sc.TraceID(), inside.TraceID())
			assert.NotEqual(t, sc.SpanID(), inside.SpanID())
			return nil
		})
		tel.wait(t, m)
		assert.Empty(t, tel.names())
	})
}

func TestNoneIsARootWithoutLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithRelation(otelmw.None))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		assert.ElementsMatch(t, []string{"agent", "job"}, tel.names())
		task := tel.span(t, "job")
		requireRoot(t, task)
		assert.NotEqual(t, agent.SpanContext().TraceID(), task.SpanContext().TraceID())
		assert.Equal(t, trace.SpanKindConsumer, task.SpanKind())
		assert.Empty(t, task.Links())
		assert.Equal(t, originIn(agent.SpanContext()), foreign(t, task))
	})
}

// What is awaited belongs into the trace, what is not gets its own: that differs from task to task.
func TestRelationFuncDecidesForEachTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		tel := newTelemetry(t)
		ctx, agent := tel.start("agent")
		m := tel.manager(otelmw.WithRelation(otelmw.None), otelmw.WithRelationFunc(
			func(ctx context.Context, task *core.Task) otelmw.Relation {
				assert.Equal(t, "ada", ctx.Value(key{}), "the spawner's values")
				assert.Equal(t, agent, trace.SpanFromContext(ctx), "the spawner's live span")
				switch task.Name() {
				case "awaited":
					return otelmw.Child
				case "alone":
					return otelmw.None
				}
				return otelmw.Link
			}))
		ctx = context.WithValue(ctx, key{}, "ada")
		for _, name := range []string{"awaited", "alone", "sent"} {
			m.Go(ctx, name, succeed)
		}
		require.NoError(t, m.Wait(t.Context()))
		agent.End()
		require.ElementsMatch(t, []string{"awaited", "alone", "sent", "spawn sent", "agent"}, tel.names())

		assert.Equal(t, agent.SpanContext(), tel.span(t, "awaited").Parent())
		requireRoot(t, tel.span(t, "alone"))
		assert.Empty(t, tel.span(t, "alone").Links())
		assert.Equal(t, []trace.SpanContext{tel.span(t, "spawn sent").SpanContext()}, linked(t, tel.span(t, "sent")))
	})
}

// RelationFunc is asked once, as the task is spawned: a retry does not change what a task is.
func TestRelationFuncIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		asked := 0
		m := newManager(core.WithMiddleware(retry(3), tel.middleware(otelmw.WithRelationFunc(
			func(context.Context, *core.Task) otelmw.Relation { asked++; return otelmw.Child }))))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", fail)
		assert.Equal(t, 1, asked, "before Go returns")
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, 1, asked)
		assert.Len(t, tel.spans("job"), 3)
	})
}

// A value that is none of the three is the default.
func TestUnknownRelationIsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithRelation(otelmw.Relation(7)))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed)
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, []trace.SpanContext{tel.span(t, "spawn job").SpanContext()}, linked(t, tel.span(t, "job")))
	})
}

func TestRelationString(t *testing.T) {
	for relation, want := range map[otelmw.Relation]string{
		otelmw.Link: "link", otelmw.Child: "child", otelmw.None: "none", otelmw.Relation(7): "link",
	} {
		assert.Equal(t, want, relation.String())
	}
	assert.Zero(t, otelmw.Link, "the default")
}
