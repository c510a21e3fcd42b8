package otelmw_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// A retry outside the middleware makes each attempt a span; one inside makes them one span all together.

// retry calls next until it returns nil, at most n times, a second apart.
func retry(n int) core.Middleware {
	return around(func(ctx context.Context, task *core.Task, next core.Handler) (err error) {
		for i := range n {
			if i > 0 {
				time.Sleep(time.Second)
			}
			if err = next(ctx, task); err == nil {
				return nil
			}
		}
		return err
	})
}

// failing fails the first n times it is called.
func failing(n int) core.Func {
	calls := 0
	return func(context.Context) error {
		time.Sleep(time.Minute)
		if calls++; calls <= n {
			return errTask
		}
		return nil
	}
}

func TestEachAttemptOfARetryOutsideIsASpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(retry(5), tel.middleware()))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", failing(2))
		agent.End()
		tel.wait(t, m)
		require.Len(t, tel.spans("job"), 3)
		spawn := tel.span(t, "spawn job")
		for i, job := range tel.spans("job") {
			requireRoot(t, job)
			assert.Equal(t, []trace.SpanContext{spawn.SpanContext()}, linked(t, job), "each leads back")
			assert.Equal(t, time.Minute, job.EndTime().Sub(job.StartTime()))
			attrs := values(t, job.Attributes())
			assert.Equal(t, []any{nil, int64(2), int64(3)}[i], attrs["afterspan.task.attempt"])
			assert.Equal(t, []any{"failed", "failed", "completed"}[i], attrs["afterspan.task.outcome"])
			assert.InDelta(t, 0.0, attrs["afterspan.task.queue_time"], 0, "the wait in the queue, not since the last attempt")
		}
		assert.Equal(t, []trace.SpanContext{tel.spans("job")[0].SpanContext()}, linked(t, spawn),
			"it ends as the first run starts")
		assert.NotEqual(t, tel.spans("job")[0].SpanContext().TraceID(), tel.spans("job")[1].SpanContext().TraceID())
	})
}

// The wait in the queue is the task's, and counted once; a duration is an attempt's.
func TestEachAttemptOfARetryOutsideIsADuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(retry(5), tel.middleware()))
		m.Go(context.Background(), "job", failing(2))
		tel.wait(t, m)
		queue := tel.histogram(t, "afterspan.task.queue.duration").DataPoints
		require.Len(t, queue, 1)
		assert.EqualValues(t, 1, queue[0].Count)
		counts := map[any]uint64{}
		for _, point := range tel.histogram(t, "afterspan.task.duration").DataPoints {
			counts[values(t, point.Attributes.ToSlice())["afterspan.task.outcome"]] = point.Count
			assert.InDelta(t, 60*float64(point.Count), point.Sum, 0, "without the pauses between")
		}
		assert.Equal(t, map[any]uint64{"failed": 2, "completed": 1}, counts)
		assert.Zero(t, tel.active(t))
	})
}

// Between two attempts nothing runs.
func TestPauseBetweenAttemptsIsNotActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(retry(2), tel.middleware()))
		m.Go(context.Background(), "job", failing(1))
		time.Sleep(59 * time.Second)
		assert.EqualValues(t, 1, tel.active(t))
		time.Sleep(1500 * time.Millisecond)
		assert.EqualValues(t, 0, tel.active(t))
		time.Sleep(time.Second)
		assert.EqualValues(t, 1, tel.active(t))
		tel.wait(t, m)
	})
}

func TestAttemptsOfARetryInsideAreOneSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware(), retry(5)))
		m.Go(context.Background(), "job", failing(2))
		tel.wait(t, m)
		job := tel.span(t, "job")
		assert.Equal(t, 3*time.Minute+2*time.Second, job.EndTime().Sub(job.StartTime()))
		assertUnset(t, job) // an error that was dealt with is none
		assert.NotContains(t, values(t, job.Attributes()), "afterspan.task.attempt")
	})
}

// A child's attempts are all children of the spawner, none of another attempt.
func TestEachAttemptOfAChildIsAChildOfTheSpawner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(retry(3), tel.middleware(otelmw.WithRelation(otelmw.Child))))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", failing(2))
		agent.End()
		tel.wait(t, m)
		require.Len(t, tel.spans("job"), 3)
		for _, job := range tel.spans("job") {
			assert.Equal(t, agent.SpanContext(), job.Parent())
		}
	})
}

// meeting is a span processor in which the starts of n spans of one name wait for each other.
type meeting struct {
	sdktrace.SpanProcessor
	name string
	all  *sync.WaitGroup
}

func (p meeting) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.Name() == p.name {
		p.all.Done()
		p.all.Wait()
	}
}

// A hedge calls again while the first call is still under way. The manager allows it, so this must, too:
// the attempts must not fall over each other as they start.
func TestAttemptsOfAHedgeRunAtTheSameTime(t *testing.T) {
	const calls, tasks = 4, 25
	var all sync.WaitGroup
	tel := newTelemetry(t) // no fake clock: -race is to see the attempts meet
	tel.traces.RegisterSpanProcessor(meeting{tracetest.NewSpanRecorder(), "job", &all})
	hedge := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
		errs := make(chan error, calls)
		for range calls {
			go func() { errs <- next(ctx, task) }()
		}
		for range calls {
			assert.NoError(t, <-errs)
		}
		return nil
	})
	m := newManager(core.WithMiddleware(hedge, tel.middleware()))
	ctx, agent := tel.start("agent")
	for range tasks {
		all.Add(calls)
		m.Go(ctx, "job", succeed)
		require.NoError(t, m.Wait(t.Context()))
	}
	agent.End()
	tel.requireAllEnded(t)
	require.Len(t, tel.spans("job"), calls*tasks)
	require.Len(t, tel.spans("spawn job"), tasks)
	for _, spawn := range tel.spans("spawn job") {
		assert.Len(t, spawn.Links(), 1, "the first attempt's")
	}
	queue := tel.histogram(t, "afterspan.task.queue.duration").DataPoints
	require.Len(t, queue, 1)
	assert.EqualValues(t, tasks, queue[0].Count)
	assert.Zero(t, tel.active(t))
}
