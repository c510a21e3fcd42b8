package otelmw_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// The span "spawn NAME" tells, in the trace of the spawner, what became of the task.

// However long the task waits and runs, the trace that it came from is as long as its request.
func TestSpawnSpanEndsAtTheSpawn(t *testing.T) {
	for name, task := range map[string]struct{ waits, runs time.Duration }{
		"at once":         {0, 0},
		"runs":            {0, time.Second},
		"waits":           {time.Second, 0},
		"waits very long": {time.Hour, time.Hour},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
			if task.waits > 0 {
				m.Go(context.Background(), "blocker", sleep(task.waits))
			}
			ctx, agent := tel.start("agent")
			time.Sleep(3 * time.Millisecond)
			m.Go(ctx, "job", sleep(task.runs))
			time.Sleep(7 * time.Millisecond)
			agent.End()
			tel.wait(t, m)

			spawn, request := tel.span(t, "spawn job"), tel.span(t, "agent")
			assert.Equal(t, request.StartTime().Add(3*time.Millisecond), spawn.StartTime())
			assert.Equal(t, spawn.StartTime(), spawn.EndTime())
			assert.Equal(t, 10*time.Millisecond, request.EndTime().Sub(request.StartTime()))
		})
	}
}

// sleep is a task of that length.
func sleep(d time.Duration) core.Func {
	return func(context.Context) error { time.Sleep(d); return nil }
}

// A task that failed is red in the trace of the request, and says why.
func TestSpawnSpanTellsTheOutcome(t *testing.T) {
	for _, w := range waysOut {
		inBubble(t, w.name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager()
			ctx, agent := tel.start("agent")
			task := m.Go(ctx, "job", w.fn, core.WithTimeout(w.timeout))
			agent.End()
			if w.then != nil {
				synctest.Wait()
				w.then(m, task)
			}
			tel.wait(t, m)

			spawn, job := tel.span(t, "spawn job"), tel.span(t, "job")
			attrs := values(t, spawn.Attributes())
			assert.Equal(t, w.outcome, attrs["afterspan.task.outcome"])
			assert.Equal(t, job.Status(), spawn.Status(), "both sides agree")
			assert.Equal(t, values(t, job.Attributes())["error.type"], attrs["error.type"])
			assert.Equal(t, values(t, job.Attributes())["afterspan.task.cancel_cause"], attrs["afterspan.task.cancel_cause"])
			assert.Empty(t, spawn.Events(), "the stack of a panic is with the task")
			assert.Equal(t, []trace.SpanContext{job.SpanContext()}, linked(t, spawn))
			if w.errorType == "" {
				assertUnset(t, spawn)
			}
		})
	}
}

// With a retry outside it is the task's outcome that counts, not an attempt's.
func TestSpawnSpanTellsTheOutcomeOfTheTaskNotOfAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(retry(3), tel.middleware()))
		ctx, agent := tel.start("agent")
		calls := 0
		m.Go(ctx, "job", func(context.Context) error {
			if calls++; calls < 3 {
				return errTask
			}
			return nil
		})
		agent.End()
		tel.wait(t, m)
		spawn := tel.span(t, "spawn job")
		assert.Equal(t, "completed", values(t, spawn.Attributes())["afterspan.task.outcome"])
		assertUnset(t, spawn)
		assert.Equal(t, []trace.SpanContext{tel.spans("job")[0].SpanContext()}, linked(t, spawn), "the first attempt's")
	})
}

// A circuit breaker outside may never call next. The task has no span then, and the reader of the
// request's trace is told all there is to tell.
func TestSpawnSpanOfATaskThatNeverCameHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		errOpen := errors.New("circuit open")
		breaker := around(func(context.Context, *core.Task, core.Handler) error { return errOpen })
		m := newManager(core.WithMiddleware(breaker, tel.middleware()))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", succeed, core.WithAttrs(slog.String("thread_id", "t-1")))
		agent.End()
		tel.wait(t, m)
		require.ElementsMatch(t, []string{"agent", "spawn job"}, tel.names())
		spawn := tel.span(t, "spawn job")
		assertStatus(t, spawn, "circuit open")
		assert.Equal(t, "failed", values(t, spawn.Attributes())["afterspan.task.outcome"])
		assert.Equal(t, "t-1", values(t, spawn.Attributes())["thread_id"])
		assert.EqualValues(t, 1, tel.histogram(t, "afterspan.task.queue.duration").DataPoints[0].Count)
		assert.NotContains(t, tel.collect(t), "afterspan.task.duration")
	})
}

// The limit of a span's attributes costs the outcome nothing: it has its place from the start.
func TestLimitOnAttributesDoesNotCostTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := sdktrace.NewSpanLimits()
		limits.AttributeCountLimit = 10 // OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT
		tel := newTelemetry(t, sdktrace.WithRawSpanLimits(limits))
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", fail, core.WithTimeout(time.Minute), core.WithAttrs(slog.Int("a", 1), slog.Int("b", 2),
			slog.Int("c", 3), slog.Int("d", 4), slog.Int("e", 5), slog.Int("f", 6), slog.Int("g", 7)))
		agent.End()
		tel.wait(t, m)
		for _, name := range []string{"job", "spawn job"} {
			assert.Equal(t, "failed", values(t, tel.span(t, name).Attributes())["afterspan.task.outcome"], name)
			assertStatus(t, tel.span(t, name), errTask.Error())
		}
	})
}

// No link of either side leads to a span that is not exported.
func TestLinksLeadToSampledSpansOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.2))))
		m := tel.manager()
		for range 1000 {
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", succeed)
			agent.End()
			require.NoError(t, m.Wait(t.Context()))
		}
		exported := map[trace.SpanID]bool{}
		for _, s := range tel.recorder.Ended() {
			exported[s.SpanContext().SpanID()] = true
		}
		kept, linkedTo := 0, 0
		for _, spawn := range tel.spans("spawn job") {
			kept++
			for _, sc := range linked(t, spawn) {
				assert.True(t, exported[sc.SpanID()])
				linkedTo++
			}
		}
		assert.Greater(t, kept, linkedTo, "of some the task was not sampled")
		assert.NotZero(t, linkedTo)
	})
}

// A span that records and is not sampled is seen by processors in this process, and exported by none.
// The task links to the spawner then, so that a sampler that goes by links keeps it.
func TestTaskLinksToTheSpawnerIfTheSpawnSpanIsRecordOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSampler(&sampler{decide: func(p sdktrace.SamplingParameters) sdktrace.SamplingDecision {
			if p.Name == "spawn job" {
				return sdktrace.RecordOnly
			}
			return sdktrace.RecordAndSample
		}}))
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", fail)
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, []trace.SpanContext{agent.SpanContext()}, linked(t, tel.span(t, "job")))
		assert.Equal(t, attribute.StringValue("failed"), attributeOf(tel.span(t, "spawn job"), "afterspan.task.outcome"))
	})
}

func attributeOf(s sdktrace.ReadOnlySpan, key attribute.Key) (value attribute.Value) {
	for _, kv := range s.Attributes() {
		if kv.Key == key {
			value = kv.Value
		}
	}
	return value
}
