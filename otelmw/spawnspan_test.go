package otelmw_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
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

// It is handed over when the task has ended, before anybody who waits for the task is told.
func TestSpawnSpanIsHandedOverAtTheEndOfTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		task := m.Go(ctx, "job", sleep(4*time.Second))
		agent.End()
		time.Sleep(3 * time.Second)
		assert.Equal(t, []string{"agent"}, tel.names())
		require.NoError(t, task.Wait(t.Context()))
		assert.Equal(t, []string{"agent", "job", "spawn job"}, tel.names())
	})
}

// A task that goes on for longer is in the trace after five seconds, and so is one whose process is
// killed then.
func TestSpawnSpanIsHandedOverAfterTheHold(t *testing.T) {
	for name, test := range map[string]struct {
		opts []otelmw.Option
		hold time.Duration
	}{
		"by default": {nil, 5 * time.Second},
		"shorter":    {[]otelmw.Option{otelmw.WithSpawnSpanHold(time.Second)}, time.Second},
		"longer":     {[]otelmw.Option{otelmw.WithSpawnSpanHold(time.Minute)}, time.Minute},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := tel.manager(test.opts...)
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", func(context.Context) error { time.Sleep(time.Hour); return errTask })
			agent.End()
			time.Sleep(test.hold - time.Millisecond)
			synctest.Wait()
			assert.Equal(t, []string{"agent"}, tel.names())
			time.Sleep(time.Millisecond)
			synctest.Wait()
			require.Equal(t, []string{"agent", "spawn job"}, tel.names())
			tel.wait(t, m)

			spawn := tel.span(t, "spawn job")
			assert.Equal(t, "pending", values(t, spawn.Attributes())["afterspan.task.outcome"])
			assertUnset(t, spawn)
			assert.Equal(t, spawn.StartTime(), spawn.EndTime())
			assert.Equal(t, []trace.SpanContext{tel.span(t, "job").SpanContext()}, linked(t, spawn), "it had started")
		})
	}
}

// One that still waits in the queue then has no span to link to.
func TestSpawnSpanOfATaskThatIsQueuedForLongHasNoLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
		ctx, agent := tel.start("agent")
		m.Go(context.Background(), "blocker", sleep(time.Minute))
		m.Go(ctx, "job", fail)
		agent.End()
		tel.wait(t, m)
		spawn, job := tel.span(t, "spawn job"), tel.span(t, "job")
		assert.Equal(t, "pending", values(t, spawn.Attributes())["afterspan.task.outcome"])
		assert.Empty(t, spawn.Links())
		assert.Equal(t, []trace.SpanContext{spawn.SpanContext()}, linked(t, job), "the task leads back all the same")
	})
}

// Without a hold it is handed over as the run starts, and never tells how that ended.
func TestSpawnSpanWithoutAHold(t *testing.T) {
	for _, hold := range []time.Duration{0, -time.Second} {
		inBubble(t, hold.String(), func(t *testing.T) {
			tel := newTelemetry(t)
			m := newManager(core.WithMiddleware(tel.middleware(otelmw.WithSpawnSpanHold(hold))), core.WithLimit(1, -1))
			ctx, agent := tel.start("agent")
			m.Go(context.Background(), "blocker", sleep(time.Minute))
			m.Go(ctx, "job", func(context.Context) error {
				assert.Equal(t, []string{"agent", "blocker", "spawn job"}, tel.names())
				return errTask
			})
			agent.End()
			time.Sleep(59 * time.Second)
			assert.Equal(t, []string{"agent"}, tel.names())
			tel.wait(t, m)
			spawn := tel.span(t, "spawn job")
			assert.Equal(t, "pending", values(t, spawn.Attributes())["afterspan.task.outcome"])
			assert.Equal(t, spawn.StartTime(), spawn.EndTime())
			assert.Equal(t, []trace.SpanContext{tel.span(t, "job").SpanContext()}, linked(t, spawn))
		})
	}
}

// Without a hold as well, a task that never starts is told of when it ends.
func TestSpawnSpanWithoutAHoldOfATaskThatIsCancelledInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware(otelmw.WithSpawnSpanHold(0))), core.WithLimit(1, -1))
		ctx, agent := tel.start("agent")
		m.Go(context.Background(), "blocker", sleep(time.Minute))
		m.Go(ctx, "job", succeed).Cancel()
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, "cancelled", values(t, tel.span(t, "spawn job").Attributes())["afterspan.task.outcome"])
	})
}

// Whatever comes first hands it over, and nothing does so again: not the retry's other attempts, nor
// the clock, nor a shutdown.
func TestSpawnSpanIsHandedOverOnce(t *testing.T) {
	for _, hold := range []time.Duration{0, time.Second, 90 * time.Second, time.Hour} {
		inBubble(t, hold.String(), func(t *testing.T) {
			tel := newTelemetry(t)
			m := newManager(core.WithMiddleware(retry(3), tel.middleware(otelmw.WithSpawnSpanHold(hold))))
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", failing(3))
			agent.End()
			_, _ = m.Shutdown(t.Context())
			time.Sleep(2 * time.Hour)
			tel.requireAllEnded(t)
			assert.Len(t, tel.spans("spawn job"), 1)
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

// A batch processor drops what comes faster than it exports: many that are due at once come in portions.
func TestSpawnSpansThatAreDueAtOnceComeInPortions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const portion, pause = 512, 20 * time.Millisecond
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
		ctx, agent := tel.start("agent")
		release := make(chan struct{})
		for range 2*portion + 1 {
			m.Go(ctx, "job", until(release))
		}
		time.Sleep(5 * time.Second)
		for _, want := range []int{portion, 2 * portion, 2*portion + 1} {
			synctest.Wait()
			assert.Len(t, tel.spans("spawn job"), want)
			time.Sleep(pause)
		}
		close(release)
		agent.End()
		tel.wait(t, m)
	})
}

// What is held is held for five seconds and not longer, however long the queue is.
func TestSpawnSpansOfQueuedTasksAreNotHeldBeyondTheHold(t *testing.T) {
	tasks := 100_000
	if raceDetector { // which makes all of it ten times slower
		tasks /= 10
	}
	var spans freed
	synctest.Test(t, func(t *testing.T) {
		traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&spans))
		m := newManager(core.WithLimit(1, -1), core.WithMiddleware(
			otelmw.New(otelmw.WithTracerProvider(traces), noMetrics)))
		ctx, agent := traces.Tracer("service").Start(context.Background(), "agent")
		release := make(chan struct{})
		for range tasks + 1 { // one runs
			m.Go(ctx, "job", until(release))
		}
		agent.End()
		time.Sleep(4 * time.Second)
		runtime.GC()
		runtime.GC()
		assert.Zero(t, spans.spawns.Load(), "they are held")

		time.Sleep(time.Minute)
		synctest.Wait()
		spans.collect(int64(tasks) + 1)
		assert.EqualValues(t, tasks+1, spans.spawns.Load(), "their tasks are still in the queue")
		assert.Equal(t, tasks, m.Stats().Queued)
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// freed is a span processor that counts the spans "spawn NAME" that nobody keeps any more.
type freed struct {
	nowhere
	spawns atomic.Int64
}

func (f *freed) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if strings.HasPrefix(s.Name(), "spawn ") {
		runtime.SetFinalizer(s, func(sdktrace.ReadWriteSpan) { f.spawns.Add(1) })
	}
}

// collect collects garbage until so many spans have been freed.
func (f *freed) collect(want int64) {
	for range 100 {
		runtime.GC()
		for range 1000 { // the runtime's goroutine counts them
			if f.spawns.Load() >= want {
				return
			}
			runtime.Gosched()
		}
	}
}

// What the processors do wrong as the hold ends is reported, and costs no other task its span.
func TestSpawnSpanThatPanicsAfterTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSpanProcessor(fragile{onEnd: "spawn bad"}))
		m := tel.manager()
		ctx, agent := tel.start("agent")
		for _, name := range []string{"good", "bad", "fine"} {
			m.Go(ctx, name, sleep(time.Minute))
		}
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, []string{"spawn good", "spawn bad", "spawn fine"}, tel.names()[1:4])
		assert.Equal(t, []string{"otelmw: the end of a span: panic: no connection"}, handled.take())
	})
}

// One that ends the goroutine, as t.FailNow does, ends the timer's. The next one is set all the same.
func TestSpawnSpanWhoseProcessorCallsGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSpanProcessor(exiting{name: "spawn first"}))
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "first", sleep(time.Minute))
		time.Sleep(time.Second)
		m.Go(ctx, "second", sleep(time.Minute))
		agent.End()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"agent", "spawn first", "spawn second"}, tel.names())
		tel.wait(t, m)
	})
}

// exiting is a span processor that ends the goroutine.
type exiting struct {
	sdktrace.SpanProcessor
	name string
}

func (exiting) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (p exiting) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.Name() == p.name {
		runtime.Goexit()
	}
}

// The clock and the end of a task may come together.
func TestSpawnSpanIsHandedOverOnceConcurrentSafe(t *testing.T) {
	const tasks = 2000
	tel := newTelemetry(t) // no fake clock: -race is to see the two meet
	m := tel.manager(otelmw.WithSpawnSpanHold(100 * time.Microsecond))
	ctx, agent := tel.start("agent")
	for i := range tasks {
		m.Go(ctx, "job", func(context.Context) error {
			for range i % 100 {
				runtime.Gosched()
			}
			return nil
		})
	}
	agent.End()
	require.NoError(t, m.Wait(t.Context()))
	require.Eventually(t, func() bool { return len(tel.spans("spawn job")) >= tasks }, time.Minute, time.Millisecond)
	assert.Len(t, tel.spans("spawn job"), tasks)
	outcomes := map[any]int{}
	for _, spawn := range tel.spans("spawn job") {
		outcomes[values(t, spawn.Attributes())["afterspan.task.outcome"]]++
	}
	assert.Equal(t, tasks, outcomes["completed"]+outcomes["pending"], "%v", outcomes)
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

// A shutdown that cancelled what was left hands all of it over: only then does the provider's come.
func TestShutdownLeavesNoSpawnSpanBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "running", obey)
		m.Go(ctx, "queued", obey)
		agent.End()
		require.NoError(t, m.Close())
		tel.requireAllEnded(t)
		for _, name := range []string{"spawn running", "spawn queued"} {
			attrs := values(t, tel.span(t, name).Attributes())
			assert.Equal(t, "cancelled", attrs["afterspan.task.outcome"], name)
			assert.Equal(t, "shutdown", attrs["afterspan.task.cancel_cause"], name)
		}
	})
}
