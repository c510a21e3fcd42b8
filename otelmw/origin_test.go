package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Where it all began: one search finds the tasks of a request, however deep.

func TestOriginIsThatOfTheFirstTask(t *testing.T) {
	for _, relation := range []otelmw.Relation{otelmw.Link, otelmw.Child, otelmw.None} {
		for name, opt := range map[string]otelmw.Option{"": nil, ", the middle one filtered": filterOut("second")} {
			inBubble(t, relation.String()+name, func(t *testing.T) {
				tel := newTelemetry(t)
				m := tel.manager(otelmw.WithRelation(relation), opt)
				ctx, agent := tel.start("agent")
				m.Go(ctx, "first", func(ctx context.Context) error {
					m.Go(ctx, "second", func(ctx context.Context) error {
						m.Go(ctx, "third", succeed)
						return nil
					})
					return nil
				})
				agent.End()
				tel.wait(t, m)
				for _, name := range []string{"first", "third"} {
					attrs := values(t, tel.span(t, name).Attributes())
					assert.Equal(t, agent.SpanContext().TraceID().String(), attrs["afterspan.origin.trace_id"], name)
				}
			})
		}
	}
}

// A chain that begins without a span begins with its first task.
func TestOriginOfAChainWithoutASpawner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		m.Go(context.Background(), "first", func(ctx context.Context) error {
			m.Go(ctx, "second", func(ctx context.Context) error {
				m.Go(ctx, "third", succeed)
				return nil
			})
			return nil
		})
		tel.wait(t, m)
		first := tel.span(t, "first")
		assert.Empty(t, foreign(t, first))
		for _, name := range []string{"second", "third"} {
			attrs := values(t, tel.span(t, name).Attributes())
			assert.Equal(t, first.SpanContext().TraceID().String(), attrs["afterspan.origin.trace_id"], name)
		}
	})
}

// A web framework may use the context of a request again for the next one, before the task has run.
type reused struct{ context.Context }

func TestSpawnersBaggageAndSpanAreThoseOfTheSpawn(t *testing.T) {
	for _, relation := range []otelmw.Relation{otelmw.Link, otelmw.Child} {
		inBubble(t, relation.String(), func(t *testing.T) {
			tel := newTelemetry(t)
			m := newManager(core.WithLimit(1, -1), core.WithMiddleware(tel.middleware(
				otelmw.WithBaggageKeys("user"), otelmw.WithRelation(relation))))
			m.Go(context.Background(), "blocker", sleep(time.Minute))
			ctx, agent := tel.start("agent")
			request := &reused{inBaggage(t, ctx, "user", "ada")}
			m.Go(request, "job", func(ctx context.Context) error {
				assert.Equal(t, "mallory", baggage.FromContext(ctx).Member("user").Value(), "as the framework has it")
				return nil
			})
			agent.End()
			next, other := tel.start("next request")
			request.Context = inBaggage(t, next, "user", "mallory")
			other.End()
			tel.wait(t, m)

			job := tel.span(t, "job")
			attrs := values(t, job.Attributes())
			assert.Equal(t, "ada", attrs["user"])
			assert.Equal(t, agent.SpanContext().TraceID().String(), attrs["afterspan.origin.trace_id"])
			if relation == otelmw.Child {
				assert.Equal(t, agent.SpanContext(), job.Parent())
			} else {
				assert.Equal(t, []trace.SpanContext{tel.span(t, "spawn job").SpanContext()}, linked(t, job))
			}
		})
	}
}

// A task that waited for another one and returns its error has not panicked itself.
func TestPanicOfAnotherTaskIsAnOrdinaryError(t *testing.T) {
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"a text":                        {"boom", "*core.PanicError"},
		"an error":                      {&quotaError{"ada"}, "*otelmw_test.quotaError"},
		"an error that says what it is": {&typedError{"quota_exceeded"}, "quota_exceeded"},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager()
			m.Go(context.Background(), "outer", func(ctx context.Context) error {
				return m.Go(ctx, "inner", func(context.Context) error { panic(test.value) }).Wait(ctx)
			})
			tel.wait(t, m)
			inner, outer := tel.span(t, "inner"), tel.span(t, "outer")
			assert.Equal(t, attribute.StringValue("panic"), attributeOf(inner, "error.type"))
			assert.Len(t, inner.Events(), 1)
			assert.Equal(t, attribute.StringValue(test.want), attributeOf(outer, "error.type"))
			assert.Empty(t, outer.Events(), "the stack is another task's")
			assert.Equal(t, inner.Status(), outer.Status())
		})
	}
}
