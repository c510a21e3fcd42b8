package otelmw_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Which attributes a task's span has, and which of two of one key.

// A sampler sees what a span starts with, and nothing after.
func TestSamplersSeeAllThatIsKnownAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := dropping()
		tel := newTelemetry(t, sdktrace.WithSampler(all))
		m := newManager(core.WithLimit(1, -1), core.WithMiddleware(tel.middleware(
			otelmw.WithAttributes(attribute.String("region", "eu")),
			otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue {
				return []attribute.KeyValue{attribute.Bool("beta", true)}
			}),
			otelmw.WithBaggageKeys("tenant"))))
		ctx, agent := tel.start("agent")
		member, err := baggage.NewMember("tenant", "acme")
		require.NoError(t, err)
		bag, err := baggage.New(member)
		require.NoError(t, err)
		m.Go(ctx, "blocker", func(context.Context) error { time.Sleep(2 * time.Second); return nil })
		m.Go(baggage.ContextWithBaggage(ctx, bag), "job", succeed,
			core.WithTimeout(90*time.Second), core.WithAttrs(slog.String("thread_id", "t-1")))
		agent.End()
		tel.wait(t, m)

		asked := all.of("job")
		require.Len(t, asked, 1)
		assert.Equal(t, trace.SpanKindConsumer, asked[0].Kind)
		assert.Equal(t, map[string]any{
			"afterspan.task.name":        "job",
			"afterspan.task.id":          int64(2),
			"afterspan.task.timeout":     90.0,
			"afterspan.task.queue_time":  2.0,
			"afterspan.task.outcome":     "pending",
			"afterspan.spawner.trace_id": agent.SpanContext().TraceID().String(),
			"afterspan.spawner.span_id":  agent.SpanContext().SpanID().String(),
			"afterspan.origin.trace_id":  agent.SpanContext().TraceID().String(),
			"thread_id":                  "t-1",
			"tenant":                     "acme",
			"region":                     "eu",
			"beta":                       true,
		}, values(t, asked[0].Attributes))
		require.Len(t, asked[0].Links, 1)
		assert.Equal(t, tel.span(t, "spawn job").SpanContext(), asked[0].Links[0].SpanContext)

		asked = all.of("spawn job")
		require.Len(t, asked, 1)
		assert.Equal(t, trace.SpanKindProducer, asked[0].Kind)
		assert.Equal(t, map[string]any{
			"afterspan.task.name": "job", "afterspan.task.id": int64(2), "afterspan.task.outcome": "pending",
		}, values(t, asked[0].Attributes))
	})
}

func TestTimeoutIsThereOnlyIfSet(t *testing.T) {
	for timeout, want := range map[time.Duration]any{0: nil, -1: nil, 1500 * time.Millisecond: 1.5} {
		inBubble(t, timeout.String(), func(t *testing.T) {
			tel := newTelemetry(t)
			job := tel.job(t, succeed, nil, core.WithTimeout(timeout))
			assert.Equal(t, want, values(t, job.Attributes())["afterspan.task.timeout"])
		})
	}
}

// inBaggage returns ctx with one member in its baggage.
func inBaggage(t *testing.T, ctx context.Context, key, value string) context.Context {
	t.Helper()
	member, err := baggage.NewMemberRaw(key, value)
	require.NoError(t, err)
	bag, err := baggage.FromContext(ctx).SetMember(member)
	require.NoError(t, err)
	return baggage.ContextWithBaggage(ctx, bag)
}

// afterspan.* is ours whatever the rest says, then come the task's own, then what the service gives to all tasks.
func TestOfTwoAttributesWithOneKeyTheNearestToTheTaskWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		kvs := func(value string, keys ...string) (attrs []attribute.KeyValue) {
			for _, key := range keys {
				attrs = append(attrs, attribute.String(key, value))
			}
			return attrs
		}
		m := tel.manager(
			otelmw.WithSpanStartOptions(trace.WithAttributes(kvs("start option", "a", "b", "c", "d", "e", "afterspan.task.name")...)),
			otelmw.WithAttributes(kvs("static", "a", "b", "c", "d", "afterspan.task.name", "afterspan.x")...),
			otelmw.WithBaggageKeys("a", "b", "c"),
			otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue {
				return kvs("callback", "a", "b", "afterspan.task.id", "afterspan.x")
			}),
		)
		ctx := context.Background()
		for _, key := range []string{"a", "b", "c"} {
			ctx = inBaggage(t, ctx, key, "baggage")
		}
		m.Go(ctx, "job", succeed, core.WithAttrs(slog.String("a", "task")))
		tel.wait(t, m)
		job := tel.span(t, "job")
		assert.Equal(t, map[string]any{
			"a": "task", "b": "callback", "c": "baggage", "d": "static", "e": "start option",
		}, foreign(t, job))
		assert.Equal(t, "job", values(t, job.Attributes())["afterspan.task.name"])
		assert.Equal(t, int64(1), values(t, job.Attributes())["afterspan.task.id"])
	})
}

// Baggage comes from another service, maybe another company.
func TestBaggageWinsOverNothingOfTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(otelmw.WithBaggageKeys("user", "afterspan.task.name", "absent", "empty"), otelmw.WithBaggageKeys("tenant"))
		ctx := inBaggage(t, t.Context(), "user", "mallory")
		ctx = inBaggage(t, ctx, "afterspan.task.name", "forged")
		ctx = inBaggage(t, ctx, "tenant", "näme with; odd, signs")
		ctx = inBaggage(t, ctx, "empty", "")
		ctx = inBaggage(t, ctx, "not_asked_for", "x")
		m.Go(ctx, "job", succeed, core.WithAttrs(slog.String("user", "ada")))
		tel.wait(t, m)
		job := tel.span(t, "job")
		assert.Equal(t, map[string]any{"user": "ada", "tenant": "näme with; odd, signs", "empty": ""}, foreign(t, job))
		assert.Equal(t, "job", values(t, job.Attributes())["afterspan.task.name"])
	})
}

// No baggage gets into a span unless it is asked for: it may be personal.
func TestBaggageIsLeftAloneByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		m.Go(inBaggage(t, t.Context(), "tenant", "acme"), "job", func(ctx context.Context) error {
			assert.Equal(t, "acme", baggage.FromContext(ctx).Member("tenant").Value(), "it travels on")
			return nil
		})
		tel.wait(t, m)
		assert.Empty(t, foreign(t, tel.span(t, "job")))
	})
}

func TestAttributesOfTheTaskUnderAfterspanAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, succeed, nil, core.WithAttrs(
			slog.String("afterspan.task.name", "forged"),
			slog.String("afterspan.task.outcome", "forged"),
			slog.String("afterspan.spawner.trace_id", "forged"),
			slog.String("afterspan.new", "forged"),
			slog.Group("afterspan", "task.id", "forged", "other", "forged"),
			slog.Group("", "afterspan.inline", "forged"),
			slog.String("afterspanner", "is another word"),
			slog.String("my.afterspan.task.name", "is another key")))
		assert.Equal(t, map[string]any{
			"afterspanner": "is another word", "my.afterspan.task.name": "is another key",
		}, foreign(t, job))
		assert.Equal(t, "completed", values(t, job.Attributes())["afterspan.task.outcome"])
	})
}

// The defaults of a manager come first, so that the task's own can say otherwise.
func TestLaterAttributeOfATaskWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware()),
			core.WithTaskDefaults(core.WithAttrs(slog.String("tier", "default"), slog.String("region", "eu"))))
		m.Go(context.Background(), "job", succeed, core.WithAttrs(slog.String("tier", "gold"), slog.Group("g", "k", 1, "k", 2)))
		tel.wait(t, m)
		assert.Equal(t, map[string]any{"tier": "gold", "region": "eu", "g.k": int64(2)}, foreign(t, tel.span(t, "job")))
	})
}

// A span's number of attributes is limited, to 128 by default. What a task says of itself, however much, does not
// cost what we say of it, not even how it ended.
func TestManyAttributesOfATaskCostNoneOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		var many []slog.Attr
		for i := range 1000 {
			many = append(many, slog.Int(fmt.Sprintf("k%d", i), i))
		}
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", fail, core.WithAttrs(many...), core.WithTimeout(time.Hour))
		agent.End()
		tel.wait(t, m)
		job := tel.span(t, "job")
		attrs := values(t, job.Attributes())
		for _, key := range []string{
			"afterspan.task.name", "afterspan.task.id", "afterspan.task.timeout", "afterspan.task.queue_time",
			"afterspan.spawner.trace_id", "afterspan.spawner.span_id", "afterspan.task.outcome", "error.type",
		} {
			assert.True(t, attrs[key] != nil, key)
		}
		assert.True(t, attrs["k100"] != nil, "most of the task's are there")
	})
}

// What is given to New is copied there: a slice that is used again for something else changes nothing.
func TestAttributesAreCopiedByNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		static := []attribute.KeyValue{attribute.String("region", "eu")}
		opt := otelmw.WithAttributes(static...)
		one, two := tel.manager(opt, otelmw.WithAttributes(attribute.String("zone", "1"))), tel.manager(opt)
		static[0] = attribute.String("region", "changed later")
		one.Go(context.Background(), "one", succeed)
		two.Go(context.Background(), "two", succeed)
		require.NoError(t, one.Wait(t.Context()))
		tel.wait(t, two)
		assert.Equal(t, map[string]any{"region": "eu", "zone": "1"}, foreign(t, tel.span(t, "one")))
		assert.Equal(t, map[string]any{"region": "eu"}, foreign(t, tel.span(t, "two")))
	})
}
