package otelmw_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Tasks that an engine stores here and runs in another process.

// store does what an engine does with a job that it inserts, and returns what it stored.
func store(t *testing.T, ctx context.Context, mw core.Middleware) propagation.MapCarrier {
	t.Helper()
	chain, task := core.NewChain(mw), core.NewTask("job")
	ctx, err := chain.Spawn(ctx, task)
	require.NoError(t, err)
	stored := propagation.MapCarrier{}
	otelmw.Inject(ctx, task, stored)
	chain.Enqueued(ctx, task, 7)
	return stored
}

// work does what an engine does with that job in another process.
func work(mw core.Middleware, stored propagation.MapCarrier, attempt int, fn core.Func) error {
	ctx := otelmw.Extract(context.Background(), stored)
	task := core.NewAttempt(core.Attempt{Name: "job", ID: 7, Number: attempt})
	return core.NewChain(mw).Run(ctx, task, fn)
}

func TestAttemptsElsewhereLinkToTheirSpawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := newTelemetry(t), newTelemetry(t)
		ctx, agent := here.start("agent")
		stored := store(t, ctx, here.middleware())
		agent.End()
		require.Equal(t, []string{"spawn job", "agent"}, here.names(), "handed over at once, not after the hold")
		spawn := here.span(t, "spawn job")
		attrs := values(t, spawn.Attributes())
		assert.Equal(t, "pending", attrs["afterspan.task.outcome"])
		assert.Equal(t, int64(7), attrs["afterspan.task.id"])
		assert.Equal(t, agent.SpanContext().SpanID(), spawn.Parent().SpanID())

		elsewhere := there.middleware()
		require.Error(t, work(elsewhere, stored, 1, fail))
		require.NoError(t, work(elsewhere, stored, 2, succeed))
		jobs := there.spans("job")
		require.Len(t, jobs, 2)
		for i, job := range jobs {
			requireRoot(t, job)
			require.Len(t, linked(t, job), 1)
			assert.Equal(t, spawn.SpanContext().SpanID(), linked(t, job)[0].SpanID())
			attrs := values(t, job.Attributes())
			assert.Equal(t, int64(7), attrs["afterspan.task.id"])
			assert.Equal(t, agent.SpanContext().SpanID().String(), attrs["afterspan.spawner.span_id"], "as in a manager")
			assert.Equal(t, agent.SpanContext().TraceID().String(), attrs["afterspan.origin.trace_id"])
			assert.Equal(t, []any{nil, int64(2)}[i], attrs["afterspan.task.attempt"])
			assert.Equal(t, []any{"failed", "completed"}[i], attrs["afterspan.task.outcome"])
		}
		assert.Equal(t, []string{"job", "job"}, there.names(), "no second spawn span")
	})
}

// A retry outside counts on from the engine's attempts, if the engine stores and runs in one process.
func TestAttemptsOfARetryInsideAnAttemptOfAnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		chain := core.NewChain(retry(2), tel.middleware())
		task := core.NewAttempt(core.Attempt{Name: "job", Number: 3})
		ctx, err := chain.Spawn(t.Context(), task)
		require.NoError(t, err)
		_ = chain.Run(ctx, task, fail)
		var attempts []any
		for _, job := range tel.spans("job") {
			attempts = append(attempts, values(t, job.Attributes())["afterspan.task.attempt"])
		}
		assert.Equal(t, []any{int64(3), int64(4)}, attempts)
	})
}

func TestJobThatTheEngineCouldNotStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		chain, task := core.NewChain(tel.middleware()), core.NewTask("job")
		ctx, agent := tel.start("agent")
		ctx, err := chain.Spawn(ctx, task)
		require.NoError(t, err)
		chain.Refused(ctx, task, errors.New("the database is away"))
		agent.End()
		attrs := values(t, tel.span(t, "spawn job").Attributes())
		assert.Equal(t, "rejected", attrs["afterspan.task.outcome"])
		events := tel.span(t, "agent").Events()
		require.Len(t, events, 1)
		assert.Equal(t, "rejected", values(t, events[0].Attributes)["afterspan.refusal.reason"])
		time.Sleep(time.Minute)
		assert.Len(t, tel.spans("spawn job"), 1, "handed over once")
	})
}

func TestFilteredJobThatTheEngineCouldNotStore(t *testing.T) {
	tel := newTelemetry(t)
	chain, task := core.NewChain(tel.middleware(filterOut("job"))), core.NewTask("job")
	ctx, agent := tel.start("agent")
	ctx, err := chain.Spawn(ctx, task)
	require.NoError(t, err)
	chain.Refused(ctx, task, errTask)
	agent.End()
	assert.Equal(t, []string{"agent"}, tel.names())
	assert.Empty(t, tel.span(t, "agent").Events())
}

// What another process is told, whatever the relation.
func TestInject(t *testing.T) {
	for name, tc := range map[string]struct {
		opts []otelmw.Option
		want string // the span that traceparent names
	}{
		"link":               {nil, "spawn job"},
		"no spawn span":      {[]otelmw.Option{otelmw.WithoutSpawnSpan()}, "agent"},
		"child":              {[]otelmw.Option{otelmw.WithRelation(otelmw.Child)}, "agent"},
		"none":               {[]otelmw.Option{otelmw.WithRelation(otelmw.None)}, ""},
		"filtered":           {[]otelmw.Option{filterOut("job")}, "agent"},
		"without this chain": {nil, "agent"},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			mw := tel.middleware(tc.opts...)
			if name == "without this chain" {
				mw = core.Middleware{}
			}
			ctx, agent := tel.start("agent")
			stored := store(t, ctx, mw)
			agent.End()
			if tc.want == "" {
				assert.NotContains(t, stored, "traceparent")
				assert.NotContains(t, stored, "afterspan-spawner")
				assert.Equal(t, agent.SpanContext().TraceID().String(), stored["afterspan-origin"])
				return
			}
			sc := tel.span(t, tc.want).SpanContext()
			assert.Equal(t, fmt.Sprintf("00-%s-%s-01", sc.TraceID(), sc.SpanID()), stored["traceparent"])
		})
	}
}

// In the context of a running task Inject writes what that task links to, so that another engine can take
// over its work.
func TestInjectInsideATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		stored := propagation.MapCarrier{}
		m.Go(ctx, "first", func(ctx context.Context) error {
			return m.Go(ctx, "job", func(ctx context.Context) error {
				job, _ := core.TaskFromContext(ctx)
				otelmw.Inject(ctx, job, stored)
				return nil
			}).Wait(ctx)
		})
		agent.End()
		tel.wait(t, m)
		extracted := otelmw.Extract(context.Background(), stored)
		sc := trace.SpanContextFromContext(extracted)
		assert.True(t, sc.IsRemote())
		assert.Equal(t, tel.span(t, "spawn job").SpanContext().SpanID(), sc.SpanID())
		assert.Equal(t, agent.SpanContext().TraceID().String(), stored["afterspan-origin"])
		require.NoError(t, work(tel.middleware(), stored, 1, succeed))
		for _, job := range tel.spans("job") {
			attrs := values(t, job.Attributes())
			assert.Equal(t, tel.span(t, "first").SpanContext().SpanID().String(), attrs["afterspan.spawner.span_id"])
			assert.Equal(t, agent.SpanContext().TraceID().String(), attrs["afterspan.origin.trace_id"])
		}
	})
}

// An engine whose chain has no otelmw, called inside a task that has it, links to that task's span.
func TestInjectOfATaskWithoutThisMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		var stored propagation.MapCarrier
		m.Go(ctx, "outer", func(ctx context.Context) error { stored = store(t, ctx, core.Middleware{}); return nil })
		agent.End()
		tel.wait(t, m)
		sc := trace.SpanContextFromContext(otelmw.Extract(context.Background(), stored))
		assert.Equal(t, tel.span(t, "outer").SpanContext().SpanID(), sc.SpanID())
		assert.Equal(t, agent.SpanContext().TraceID().String(), stored["afterspan-origin"])
		assert.NotContains(t, stored, "afterspan-spawner")
	})
}

func TestInjectKeepsTheTraceState(t *testing.T) {
	ctx, sc := remote(trace.FlagsSampled)
	stored := store(t, ctx, newTelemetry(t).middleware())
	back := trace.SpanContextFromContext(otelmw.Extract(context.Background(), stored))
	assert.Equal(t, sc, back)
	assert.Equal(t, "vendor=7", stored["tracestate"])
}

// A store may hold anything under our keys.
func TestExtractLeavesOutWhatIsNotValid(t *testing.T) {
	tel := newTelemetry(t)
	ctx, worker := tel.start("worker")
	good := "00-4bf90000000000000000000000000000-00f0670000000000-01"
	for name, tc := range map[string]struct {
		carrier propagation.MapCarrier
		span    trace.SpanID // the current one afterwards
		origin  any
	}{
		"a forged spawner":      {propagation.MapCarrier{"traceparent": good, "afterspan-spawner": "x"}, trace.SpanID{0, 0xf0, 0x67}, "4bf90000000000000000000000000000"},
		"nothing":               {nil, worker.SpanContext().SpanID(), worker.SpanContext().TraceID().String()},
		"no traceparent":        {propagation.MapCarrier{"traceparent": "{}"}, worker.SpanContext().SpanID(), worker.SpanContext().TraceID().String()},
		"no origin":             {propagation.MapCarrier{"traceparent": good}, trace.SpanID{0, 0xf0, 0x67}, "4bf90000000000000000000000000000"},
		"a forged origin":       {propagation.MapCarrier{"traceparent": good, "afterspan-origin": "<script>"}, trace.SpanID{0, 0xf0, 0x67}, "4bf90000000000000000000000000000"},
		"an origin by itself":   {propagation.MapCarrier{"afterspan-origin": "5bf90000000000000000000000000000"}, worker.SpanContext().SpanID(), "5bf90000000000000000000000000000"},
		"an origin of zeros":    {propagation.MapCarrier{"afterspan-origin": "00000000000000000000000000000000"}, worker.SpanContext().SpanID(), worker.SpanContext().TraceID().String()},
		"an origin in capitals": {propagation.MapCarrier{"afterspan-origin": "5BF90000000000000000000000000000"}, worker.SpanContext().SpanID(), worker.SpanContext().TraceID().String()},
	} {
		t.Run(name, func(t *testing.T) {
			tel := newTelemetry(t)
			ctx := otelmw.Extract(ctx, tc.carrier)
			assert.Equal(t, tc.span, trace.SpanContextFromContext(ctx).SpanID())
			require.NoError(t, core.NewChain(tel.middleware()).Run(ctx, core.NewAttempt(core.Attempt{Name: "job"}), succeed))
			assert.Equal(t, tc.origin, values(t, tel.span(t, "job").Attributes())["afterspan.origin.trace_id"])
		})
	}
}

// The spawner counts only beside the traceparent with which it was written.
func TestExtractOfASpawner(t *testing.T) {
	const id, other = "4bf90000000000000000000000000000", "5bf90000000000000000000000000000"
	for name, tc := range map[string]struct{ field, want string }{
		"of this trace":    {id + "-0af0670000000000", "0af0670000000000"},
		"of another trace": {other + "-0af0670000000000", "00f0670000000000"},
		"without a trace":  {"0af0670000000000", "00f0670000000000"},
		"not valid":        {id + "-x", "00f0670000000000"},
		"none":             {"", "00f0670000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			tel := newTelemetry(t)
			ctx := otelmw.Extract(t.Context(), propagation.MapCarrier{
				"traceparent": "00-" + id + "-00f0670000000000-01", "afterspan-spawner": tc.field, "afterspan-origin": other,
			})
			require.NoError(t, core.NewChain(tel.middleware()).Run(ctx, core.NewAttempt(core.Attempt{Name: "job"}), succeed))
			attrs := values(t, tel.span(t, "job").Attributes())
			assert.Equal(t, tc.want, attrs["afterspan.spawner.span_id"])
			assert.Equal(t, other, attrs["afterspan.origin.trace_id"], "an origin may be of another trace")
		})
	}
}

// The clock of the machine that stored the job may be ahead.
func TestQueueTimeIsNeverNegative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		task := core.NewAttempt(core.Attempt{Name: "job", QueuedAt: time.Now().Add(time.Hour)})
		require.NoError(t, core.NewChain(tel.middleware()).Run(t.Context(), task, succeed))
		assert.InDelta(t, 0.0, values(t, tel.span(t, "job").Attributes())["afterspan.task.queue_time"], 0)
	})
}

// A sampler that follows links keeps both sides, although they are in two processes.
func TestUnsampledSpawnerElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, sc := unsampled()
		tel := newTelemetry(t, sdktrace.WithSampler(sdktrace.AlwaysSample()))
		stored := store(t, ctx, tel.middleware())
		assert.Empty(t, tel.names(), "no spawn span")
		require.NoError(t, work(tel.middleware(), stored, 1, succeed))
		to := linked(t, tel.span(t, "job"))
		require.Len(t, to, 1)
		assert.Equal(t, sc.SpanID(), to[0].SpanID())
		assert.False(t, to[0].IsSampled())
	})
}
