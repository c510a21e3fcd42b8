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

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// A task that is cancelled in the queue never ran. It is in the trace of its request and in no other.
func TestTaskThatIsCancelledInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware(
			otelmw.WithBaggageKeys("tenant"), otelmw.WithAttributes(attribute.String("region", "eu")))), core.WithLimit(1, -1))
		ctx, agent := tel.start("agent")
		m.Go(context.Background(), "blocker", sleep(time.Minute))
		task := m.Go(inBaggage(t, ctx, "tenant", "acme"), "job", succeed, core.WithAttrs(slog.String("thread_id", "t-1")))
		time.Sleep(4 * time.Second)
		task.Cancel()
		agent.End()
		tel.wait(t, m)

		require.ElementsMatch(t, []string{"agent", "spawn job", "blocker"}, tel.names())
		spawn := tel.span(t, "spawn job")
		assert.Equal(t, map[string]any{
			"afterspan.task.name": "job", "afterspan.task.id": int64(task.ID()),
			"afterspan.task.outcome": "cancelled", "afterspan.task.cancel_cause": "cancel",
			"afterspan.task.queue_time": 4.0,
			"afterspan.origin.trace_id": agent.SpanContext().TraceID().String(),
			"thread_id":                 "t-1", "tenant": "acme", "region": "eu",
		}, values(t, spawn.Attributes()))
		assertUnset(t, spawn)
		assert.Empty(t, spawn.Links(), "there is nothing to link to")
		assert.Equal(t, spawn.StartTime(), spawn.EndTime())
	})
}

// A wait is a wait, also of a task that waited in vain. A run that was none has no duration.
func TestTaskThatIsCancelledInTheQueueIsInTheQueueDurationOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		tier := attribute.String("tier", "gold")
		m := newManager(core.WithMiddleware(tel.middleware(
			otelmw.WithFilter(func(_ context.Context, task *core.Task) bool { return task.Name() == "job" }),
			otelmw.WithMetricAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue { return []attribute.KeyValue{tier} }),
		)), core.WithLimit(1, -1))
		m.Go(context.Background(), "blocker", sleep(time.Minute))
		task := m.Go(context.Background(), "job", succeed)
		time.Sleep(3 * time.Second)
		task.Cancel()
		tel.wait(t, m)
		assertMetrics(t, tel, queueDuration(point(3, 8, attribute.String("afterspan.task.name", "job"), tier)))
	})
}

// A middleware may make something else of the cancel: store the task for later, say.
func TestTaskThatIsCancelledInTheQueueAndKeptByAMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		keep := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			if err := next(ctx, task); err != nil && errors.Is(context.Cause(ctx), core.ErrShutdown) {
				return nil
			}
			return nil
		})
		m := newManager(core.WithMiddleware(tel.middleware(), keep), core.WithLimit(1, -1))
		ctx, agent := tel.start("agent")
		m.Go(context.Background(), "blocker", obey)
		m.Go(ctx, "job", succeed)
		agent.End()
		require.NoError(t, m.Close())
		assert.Equal(t, "completed", values(t, tel.span(t, "spawn job").Attributes())["afterspan.task.outcome"])
	})
}

// Who cancelled a task: its owner, the shutdown, or the context that it was attached to.
func TestCancelCause(t *testing.T) {
	for name, test := range map[string]struct {
		start  func(ctx context.Context, m *core.Manager, fn core.Func)
		cancel func(m *core.Manager, cancel context.CancelFunc)
		want   string
	}{
		"Cancel": {
			func(ctx context.Context, m *core.Manager, fn core.Func) { m.Go(ctx, "job", fn) },
			func(m *core.Manager, _ context.CancelFunc) {
				for _, info := range m.Tasks() {
					if task, ok := m.Task(info.ID); ok {
						task.Cancel()
					}
				}
			}, "cancel",
		},
		"CancelAll": {
			func(ctx context.Context, m *core.Manager, fn core.Func) { m.Go(ctx, "job", fn) },
			func(m *core.Manager, _ context.CancelFunc) { m.CancelAll() }, "cancel",
		},
		"Close": {
			func(ctx context.Context, m *core.Manager, fn core.Func) { m.Go(ctx, "job", fn) },
			func(m *core.Manager, _ context.CancelFunc) { _ = m.Close() }, "shutdown",
		},
		"UntilShutdown": {
			func(ctx context.Context, m *core.Manager, fn core.Func) { m.Go(ctx, "job", fn, core.UntilShutdown()) },
			func(m *core.Manager, _ context.CancelFunc) { _, _ = m.Shutdown(context.Background()) }, "shutdown",
		},
		"Attached": {
			func(ctx context.Context, m *core.Manager, fn core.Func) { m.Go(ctx, "job", fn, core.Attached()) },
			func(_ *core.Manager, cancel context.CancelFunc) { cancel() }, "context",
		},
		"Group": {
			func(ctx context.Context, m *core.Manager, fn core.Func) { m.Group(ctx).Go("job", fn) },
			func(_ *core.Manager, cancel context.CancelFunc) { cancel() }, "context",
		},
	} {
		for _, state := range []string{"running", "queued"} {
			inBubble(t, name+" "+state, func(t *testing.T) {
				tel := newTelemetry(t)
				m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
				if state == "queued" {
					m.Go(context.Background(), "blocker", func(ctx context.Context) error {
						time.Sleep(time.Second) // the job is cancelled before there is a slot
						return nil
					})
				}
				ctx, agent := tel.start("agent")
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				test.start(ctx, m, obey)
				synctest.Wait()
				test.cancel(m, cancel)
				agent.End()
				tel.wait(t, m)
				spans := []string{"spawn job"}
				if state == "running" {
					spans = append(spans, "job")
				}
				for _, name := range spans {
					attrs := values(t, tel.span(t, name).Attributes())
					assert.Equal(t, "cancelled", attrs["afterspan.task.outcome"], name)
					assert.Equal(t, test.want, attrs["afterspan.task.cancel_cause"], name)
				}
			})
		}
	}
}

// A deadline that a middleware gives the run is not what cancelled the task.
func TestCancelCauseIsNotThatOfAMiddlewaresContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		limit := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			return next(ctx, task)
		})
		m := newManager(core.WithMiddleware(tel.middleware(), limit))
		ctx, agent := tel.start("agent")
		task := m.Go(ctx, "job", obey)
		synctest.Wait()
		task.Cancel()
		agent.End()
		tel.wait(t, m)
		for _, name := range []string{"spawn job", "job"} {
			assert.Equal(t, "cancel", values(t, tel.span(t, name).Attributes())["afterspan.task.cancel_cause"], name)
		}
	})
}
