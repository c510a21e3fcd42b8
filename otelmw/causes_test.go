package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
)

// afterspan.task.cancel_cause says what the log says, whatever contexts middlewares and other tasks have made.

// attempts retries the task "job". Every attempt has a second, and so has every pause.
func attempts(ctx context.Context, t *core.Task, next core.Handler) error {
	if t.Name() != "job" {
		return next(ctx, t)
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := next(attempt, t)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

func TestCancelCauseIsThatOfTheTask(t *testing.T) {
	for name, test := range map[string]struct {
		run  func(ctx context.Context, m *core.Manager)
		want string
	}{
		"an attempt's own timeout came before": {func(ctx context.Context, m *core.Manager) {
			task := m.Go(ctx, "job", fail)
			time.Sleep(1500 * time.Millisecond)
			task.Cancel()
		}, "cancel"},
		"attached to a task that is cancelled": {func(ctx context.Context, m *core.Manager) {
			outer := m.Go(ctx, "outer", func(ctx context.Context) error {
				return m.Go(ctx, "job", obey, core.Attached()).Wait(context.WithoutCancel(ctx))
			})
			time.Sleep(1500 * time.Millisecond)
			outer.Cancel()
		}, "context"},
		"in a group whose other task is cancelled": {func(ctx context.Context, m *core.Manager) {
			g := m.Group(ctx)
			other := g.Go("other", obey)
			g.Go("job", obey)
			time.Sleep(1500 * time.Millisecond)
			other.Cancel()
			_ = g.Wait()
		}, "context"},
		"a shutdown": {func(ctx context.Context, m *core.Manager) {
			m.Go(ctx, "job", obey)
			time.Sleep(1500 * time.Millisecond)
			_ = m.Close()
		}, "shutdown"},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			m := newManager(core.WithMiddleware(tel.middleware(), around(attempts)))
			ctx, agent := tel.start("agent")
			test.run(ctx, m)
			agent.End()
			tel.wait(t, m)
			for _, span := range []string{"job", "spawn job"} {
				attrs := values(t, tel.span(t, span).Attributes())
				assert.Equal(t, "cancelled", attrs["afterspan.task.outcome"], span)
				assert.Equal(t, test.want, attrs["afterspan.task.cancel_cause"], span)
			}
		})
	}
}

func TestCancelCauseOfAnEnginesTask(t *testing.T) {
	for want, err := range map[string]error{"cancel": core.ErrCancelled, "shutdown": core.ErrShutdown} {
		tel := newTelemetry(t)
		_ = tel.handler(func(context.Context) error { return err })(t.Context(), core.NewTask("job"))
		assert.Equal(t, want, values(t, tel.span(t, "job").Attributes())["afterspan.task.cancel_cause"])
	}
}

// A service may have several managers, each with a middleware of its own.
func TestOriginGoesFromOneManagerToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		a, b := tel.manager(), tel.manager()
		ctx, agent := tel.start("agent")
		a.Go(ctx, "first", func(ctx context.Context) error {
			b.Go(ctx, "second", func(ctx context.Context) error { a.Go(ctx, "third", succeed); return nil })
			return nil
		})
		agent.End()
		synctest.Wait()
		for _, name := range []string{"first", "second", "third"} {
			assert.Equal(t, agent.SpanContext().TraceID().String(),
				values(t, tel.span(t, name).Attributes())["afterspan.origin.trace_id"], name)
		}
	})
}

func TestOriginGoesFromAnEnginesTaskToItsOwn(t *testing.T) {
	tel := newTelemetry(t)
	m := tel.manager()
	ctx, agent := tel.start("agent")
	defer agent.End()
	_ = tel.handler(func(ctx context.Context) error { return m.Go(ctx, "follow_up", succeed).Wait(ctx) })(ctx, core.NewTask("job"))
	assert.Equal(t, agent.SpanContext().TraceID().String(),
		values(t, tel.span(t, "follow_up").Attributes())["afterspan.origin.trace_id"])
}
