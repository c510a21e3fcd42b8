package otelmw_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// The chain without a manager around it: an engine of its own calls the Handler with a task of core.NewTask. It may
// run on another machine than the Spawn, and then calls none.

// handler returns the middleware around fn.
func (tel *telemetry) handler(fn core.Func, opts ...otelmw.Option) core.Handler {
	return tel.middleware(opts...).Wrap(func(ctx context.Context, _ *core.Task) error { return fn(ctx) })
}

// What a server got with a message is the spawner then.
func TestEngineWithoutSpawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		run := tel.handler(fail)
		ctx, sc := remote(trace.FlagsSampled)
		task := core.NewTask("job")
		time.Sleep(3 * time.Second)
		require.ErrorIs(t, run(ctx, task), errTask)
		tel.requireAllEnded(t)
		require.Equal(t, []string{"job"}, tel.names())
		job := tel.span(t, "job")
		requireRoot(t, job)
		assert.Equal(t, []trace.SpanContext{sc}, linked(t, job))
		assert.Equal(t, map[string]any{
			"afterspan.task.name": "job", "afterspan.task.id": int64(0),
			"afterspan.task.queue_time":  3.0, // such a task does not say when it starts: since it was made
			"afterspan.task.outcome":     "failed",
			"error.type":                 plainError,
			"afterspan.spawner.trace_id": sc.TraceID().String(),
			"afterspan.spawner.span_id":  sc.SpanID().String(),
			"afterspan.origin.trace_id":  sc.TraceID().String(),
		}, values(t, job.Attributes()))
		name := attribute.String("afterspan.task.name", "job")
		assertMetrics(t, tel, queueDuration(point(3, 8, name)), active(0, "job"), duration(point(0, 0, name,
			attribute.String("afterspan.task.outcome", "failed"), attribute.String("error.type", plainError))))
	})
}

// Without metrics nobody else looks at the clock.
func TestEngineWithoutSpawnAndWithoutMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		task := core.NewTask("job")
		time.Sleep(3 * time.Second)
		require.NoError(t, tel.handler(succeed, noMetrics)(context.Background(), task))
		assert.InDelta(t, 3.0, values(t, tel.span(t, "job").Attributes())["afterspan.task.queue_time"], 0)
	})
}

// A live span is the engine's own there. The task links to it, and adds none to its trace: that the task was
// spawned is not what happens now.
func TestEngineWithoutSpawnLinksToTheSpanAroundIt(t *testing.T) {
	for relation, want := range map[otelmw.Relation][]string{
		otelmw.Link: {"job", "worker"}, otelmw.Child: {"job", "worker"}, otelmw.None: {"job", "worker"},
	} {
		inBubble(t, relation.String(), func(t *testing.T) {
			tel := newTelemetry(t)
			run := tel.handler(succeed, otelmw.WithRelation(relation))
			ctx, worker := tel.start("worker")
			require.NoError(t, run(ctx, core.NewTask("job")))
			worker.End()
			require.Equal(t, want, tel.names())
			job := tel.span(t, "job")
			switch relation {
			case otelmw.Link:
				requireRoot(t, job)
				assert.Equal(t, []trace.SpanContext{worker.SpanContext()}, linked(t, job))
			case otelmw.Child:
				assert.Equal(t, worker.SpanContext(), job.Parent())
				assert.Empty(t, job.Links())
			case otelmw.None:
				requireRoot(t, job)
				assert.Empty(t, job.Links())
			}
		})
	}
}

func TestEngineWithSpawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		mw := tel.middleware()
		run := mw.Wrap(func(context.Context, *core.Task) error { return nil })
		ctx, agent := tel.start("agent")
		task := core.NewTask("job")
		ctx = mw.Spawn(ctx, task)
		agent.End()
		time.Sleep(time.Second)
		require.NoError(t, run(ctx, task))
		assert.ElementsMatch(t, []string{"agent", "job"}, tel.names(), "without an Ended hook nobody knows that it is over")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		tel.requireAllEnded(t)
		spawn, job := tel.span(t, "spawn job"), tel.span(t, "job")
		assert.Zero(t, spawn.EndTime().Sub(spawn.StartTime()))
		assert.Equal(t, "pending", values(t, spawn.Attributes())["afterspan.task.outcome"])
		assert.Equal(t, []trace.SpanContext{job.SpanContext()}, linked(t, spawn))
		assert.Equal(t, []trace.SpanContext{spawn.SpanContext()}, linked(t, job))
	})
}

func TestEngineWithAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		run := tel.handler(succeed, filterOut("job"))
		require.NoError(t, run(t.Context(), core.NewTask("job")))
		require.NoError(t, run(t.Context(), core.NewTask("other")))
		assert.Equal(t, []string{"other"}, tel.names())
	})
}

// No guard of core is there: a panic goes through as it came, and is recorded on its way.
func TestPanicPassesThrough(t *testing.T) {
	for name, value := range map[string]any{"string": "boom", "error": errTask, "struct": struct{ n int }{7}} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			run := tel.handler(func(context.Context) error { explode(value); return nil })
			assert.PanicsWithValue(t, value, func() { _ = run(context.Background(), core.NewTask("job")) })
			tel.requireAllEnded(t)
			job := tel.span(t, "job")
			attrs := values(t, job.Attributes())
			assert.Equal(t, "failed", attrs["afterspan.task.outcome"])
			assert.Equal(t, "panic", attrs["error.type"])
			assert.Equal(t, "Error", job.Status().Code.String())
			require.Len(t, job.Events(), 1, "ours, and not one of the SDK's, too")
			event := values(t, job.Events()[0].Attributes)
			assert.Equal(t, "exception", job.Events()[0].Name)
			assert.Contains(t, event["exception.stacktrace"], "explode")
			assert.Equal(t, job.Status().Description, event["exception.message"])
			name := attribute.String("afterspan.task.name", "job")
			assertMetrics(t, tel, queueDuration(point(0, 0, name)), active(0, "job"), duration(point(0, 0, name,
				attribute.String("afterspan.task.outcome", "failed"), attribute.String("error.type", "panic"))))
		})
	}
}

func explode(value any) { panic(value) }

// A nil map or pointer panics by way of the runtime, deep in whatever is called.
func TestRuntimeErrorPassesThrough(t *testing.T) {
	for name, fn := range map[string]core.Func{
		"nil map":     func(context.Context) error { var m map[string]int; m["a"] = 1; return nil },
		"nil pointer": func(context.Context) error { var e *quotaError; fmt.Println(e.user); return nil },
		"index":       func(context.Context) error { var s []int; s[len(s)]++; return nil },
		"deep down":   func(context.Context) error { deep(100); return nil },
		"panic again": func(context.Context) error { defer func() { panic(recover()) }(); panic("first") },
		"in a defer":  func(context.Context) error { defer panic("second"); return nil },
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			run := tel.handler(fn)
			assert.Panics(t, func() { _ = run(context.Background(), core.NewTask("job")) })
			assert.Equal(t, "panic", values(t, tel.span(t, "job").Attributes())["error.type"])
			require.Len(t, tel.span(t, "job").Events(), 1)
		})
	}
}

func deep(n int) {
	if n == 0 {
		panic("bottom")
	}
	deep(n - 1)
}

// Goexit is told from a panic.
func TestGoexitPassesThrough(t *testing.T) {
	for name, fn := range map[string]core.Func{
		"Goexit": func(context.Context) error { runtime.Goexit(); return nil },
		"Goexit after a panic that was recovered": func(context.Context) error {
			func() { defer func() { _ = recover() }(); panic("dealt with") }()
			runtime.Goexit()
			return nil
		},
		"Goexit instead of a panic": func(context.Context) error { defer runtime.Goexit(); panic("dropped") },
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			run := tel.handler(fn)
			returned, ended := false, make(chan struct{})
			go func() {
				defer close(ended)
				_ = run(context.Background(), core.NewTask("job"))
				returned = true
			}()
			<-ended
			assert.False(t, returned)
			tel.requireAllEnded(t)
			job := tel.span(t, "job")
			assert.Equal(t, "goexit", values(t, job.Attributes())["error.type"])
			assertStatus(t, job, core.ErrGoexit.Error())
			assert.Empty(t, job.Events())
			assert.Zero(t, tel.active(t))
			assert.EqualValues(t, 1, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Count)
		})
	}
}

// Such a task has no context of its own to say how it ended, so its error says it.
func TestOutcomeOfAnEnginesTask(t *testing.T) {
	for name, test := range map[string]struct {
		err                error
		outcome, errorType any
	}{
		"nil":                               {nil, "completed", nil},
		"timeout":                           {fmt.Errorf("river: %w", core.ErrTimeout), "timed_out", "timeout"},
		"cancelled":                         {core.ErrCancelled, "cancelled", nil},
		"shutdown":                          {core.ErrShutdown, "cancelled", nil},
		"failed":                            {context.DeadlineExceeded, "failed", fmt.Sprintf("%T", context.DeadlineExceeded)},
		"goexit":                            {core.ErrGoexit, "failed", "goexit"},
		"a panic that the engine recovered": {&core.PanicError{Value: "boom"}, "failed", "panic"},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			_ = tel.handler(func(context.Context) error { return test.err })(t.Context(), core.NewTask("job"))
			attrs := values(t, tel.span(t, "job").Attributes())
			assert.Equal(t, test.outcome, attrs["afterspan.task.outcome"])
			assert.Equal(t, test.errorType, attrs["error.type"])
		})
	}
}

// Each attempt of an engine's own retry is a run of its own.
func TestEngineWithoutSpawnRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		run := retry(3).Wrap(tel.handler(fail))
		require.Error(t, run(t.Context(), core.NewTask("job")))
		assert.Len(t, tel.spans("job"), 3)
		assert.EqualValues(t, 3, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Count)
	})
}
