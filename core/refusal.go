package core

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// refuse ends t as Rejected, logs that, and calls the Refused hooks.
func (m *Manager) refuse(ctx context.Context, t *Task, err error) {
	t.joinGroup()
	defer t.leaveGroup() // deferred, because a log handler or a hook may call runtime.Goexit
	m.mu.Lock()
	m.counted.Created++
	m.refused++
	m.mu.Unlock()
	t.failGroup(err)
	t.settle(Rejected, err, nil)
	t.close()
	m.logRefused(ctx, t, err)
	m.callHooks(ctx, "Refused", m.refuseds, t)
}

// fullError returns the error of a task that was refused with that verdict.
func (t *Task) fullError(verdict sched.Verdict) error {
	switch key := t.options.key; verdict {
	case sched.FullKey:
		return &keyFull{name: key.Name, bound: key.PerKey}
	case sched.FullTotal:
		return &keyFull{bound: key.Total, total: true}
	default:
		return ErrFull
	}
}

// keyFull is ErrFull with its reason. The text is made only when somebody reads it.
type keyFull struct {
	name  string // empty if total is set
	bound int
	total bool
}

func (e *keyFull) Error() string {
	if e.total {
		return fmt.Sprintf("%v: its Keyed is limited to %d unfinished tasks", ErrFull, e.bound)
	}
	return fmt.Sprintf("%v: key %q is limited to %d unfinished tasks", ErrFull, e.name, e.bound)
}

func (e *keyFull) Unwrap() error { return ErrFull }

// logRefused logs a refusal, or counts it if a line was logged within the last second.
func (m *Manager) logRefused(ctx context.Context, t *Task, err error) {
	suppressed, say := m.refusals.next(time.Now(), m.flushOnTimer)
	if !say {
		return
	}
	m.line(ctx, slog.LevelWarn, "background task refused", func() []slog.Attr {
		attrs := append(t.about("outcome", Rejected.String()), slog.Any("error", err))
		if suppressed > 0 {
			attrs = append(attrs, slog.Uint64("suppressed", suppressed))
		}
		return attrs
	})
}

// logSuppressed logs how many refusals were suppressed, if any were.
func (m *Manager) logSuppressed(suppressed uint64) {
	if suppressed == 0 {
		return
	}
	m.line(context.Background(), slog.LevelWarn, "more background tasks refused", func() []slog.Attr {
		return []slog.Attr{slog.Uint64("suppressed", suppressed)}
	})
}

// flushOnTimer logs how many refusals were suppressed, on the goroutine of a timer. A shutdown
// waits for it.
func (m *Manager) flushOnTimer() {
	m.mu.Lock()
	m.helpers++
	m.mu.Unlock()
	defer m.helped()
	m.logSuppressed(m.refusals.fire(time.Now()))
}

// closeRefusals logs how many refusals were suppressed, and starts no timer from now on.
func (m *Manager) closeRefusals() {
	m.logSuppressed(m.refusals.close(time.Now()))
}
