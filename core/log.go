package core

import (
	"cmp"
	"context"
	"log/slog"
	"time"
)

// log returns the logger, and whether it is enabled for that level.
func (c *config) log(ctx context.Context, level slog.Level) (l *slog.Logger, enabled bool) {
	l = cmp.Or(c.logger, slog.Default())
	return l, l.Enabled(ctx, level)
}

// line logs msg with what attrs returns, if that level is enabled. It recovers a panic of the log
// handler.
func (c *config) line(ctx context.Context, level slog.Level, msg string, attrs func() []slog.Attr) {
	defer contain()
	if l, ok := c.log(ctx, level); ok {
		l.LogAttrs(ctx, level, msg, attrs()...)
	}
}

// logsCreated reports whether the creation of a task is logged.
func (m *Manager) logsCreated(ctx context.Context) (yes bool) {
	defer contain()
	_, yes = m.log(ctx, slog.LevelDebug)
	return yes
}

func (m *Manager) logCreated(ctx context.Context, t *Task) {
	m.line(ctx, slog.LevelDebug, "background task created", func() []slog.Attr {
		if t.options.timeout > 0 {
			return t.about("timeout", t.options.timeout)
		}
		return t.about()
	})
}

// logEnd logs the outcome. The first maxNamed tasks that a Shutdown cancelled are logged at WARN.
func (m *Manager) logEnd(t *Task, end *ending) {
	level := slog.LevelDebug
	switch end.outcome {
	case Failed:
		level = slog.LevelError
	case TimedOut:
		level = slog.LevelWarn
	case Cancelled:
		if !is(end.err, ErrHandedOver) && m.takeLostLine(t, end.cause) {
			level = slog.LevelWarn
		}
	case Rejected:
		m.logRefused(end.ctx, t, end.err)
		return
	case Pending, Completed:
	}
	m.line(end.ctx, level, endMessages[end.outcome], func() []slog.Attr { return t.endAttrs(end) })
}

var endMessages = [...]string{
	Completed: "background task completed",
	Failed:    "background task failed",
	Cancelled: "background task cancelled",
	TimedOut:  "background task timed out",
}

func (t *Task) endAttrs(end *ending) []slog.Attr {
	more := []any{"duration", t.duration(), "outcome", end.outcome.String()}
	if end.outcome == Cancelled || end.outcome == TimedOut {
		more = append(more, "cause", t.causeWord(end.cause))
	}
	return append(t.about(more...), t.errorAttrs(end.err)...)
}

// errorAttrs returns the error, and the stack of a panic.
func (t *Task) errorAttrs(err error) []slog.Attr {
	if err == nil {
		return nil
	}
	attrs := []slog.Attr{slog.Any("error", err)}
	if panicked, ok := t.PanicOf(err); ok {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	return attrs
}

// duration returns how long t has been running; 0 if it has not started.
func (t *Task) duration() time.Duration {
	if started := t.StartedAt(); !started.IsZero() {
		return time.Since(started)
	}
	return 0
}

// about returns the group "task", extended by more, followed by the task's own attributes.
func (t *Task) about(more ...any) []slog.Attr {
	group := []any{"name", t.name}
	if t.id != 0 {
		group = append(group, "id", t.id)
	}
	return append([]slog.Attr{slog.Group("task", append(group, more...)...)}, t.options.attrs...)
}

// logOutlived logs the errors of calls that outlived their middleware.
func (m *Manager) logOutlived(t *Task, err error) {
	if err == nil {
		return
	}
	level := slog.LevelDebug
	if _, panicked := t.PanicOf(err); panicked {
		level = slog.LevelError
	}
	m.line(t.logContext(), level, "background task returned after its middleware", func() []slog.Attr {
		return append(t.about("duration", t.duration()), t.errorAttrs(err)...)
	})
}

// logStuck logs that waiter waits for t, which is queued behind it.
func (m *Manager) logStuck(ctx context.Context, waiter, t *Task) {
	m.line(ctx, slog.LevelWarn, "background task waits for a task that is queued behind it", func() []slog.Attr {
		return waiter.about(slog.Group("waits_for", "name", t.name, "id", t.id))
	})
}

// logOverdue logs that t still runs after its cancel or timeout, with its stack.
func (m *Manager) logOverdue(t *Task, stacks map[string]string) {
	m.logWithStack("background task still running after cancellation", t, t.Info(), stacks)
}

// logWithStack logs msg about the task t, which was cancelled and has not ended, at WARN, with its
// stack if there is one.
func (m *Manager) logWithStack(msg string, t *Task, info TaskInfo, stacks map[string]string) {
	m.line(t.logContext(), slog.LevelWarn, msg, func() []slog.Attr {
		attrs := t.about("state", info.State, "age", info.Age, "cause", t.causeWord(t.cancelCause()))
		if stack, ok := stacks[stackKey(t)]; ok {
			attrs = append(attrs, slog.String("stack", stack))
		}
		return attrs
	})
}

// logContext returns the context for log lines about t.
func (t *Task) logContext() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.innermost()
}

// innermost returns the context of the Func or, if that was not called yet, of the last Handler that
// was. Before the run begins it returns an empty one, because the run's may still change. t.mu is
// held.
func (t *Task) innermost() context.Context {
	switch r := t.run; {
	case r == nil:
		return context.Background()
	case r.innermost != nil:
		return r.innermost
	case r.begun:
		return r
	default:
		return context.Background()
	}
}
