package otelmw_test

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// When the span "spawn NAME" is handed over, and that it is handed over once.

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
