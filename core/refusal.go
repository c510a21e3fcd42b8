package core

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// refuse ends a task that was not accepted.
func (m *Manager) refuse(ctx context.Context, t *Task, err error) {
	m.mu.Lock()
	m.counted.Created++
	m.counted.Rejected++
	m.refused++
	m.mu.Unlock()
	t.close(Rejected, err, nil)
	m.logRefused(ctx, t, err)
	m.call(ctx, "Refused", m.refuseds, t)
	t.leaveGroup()
}

// errFull returns the error of a task that was refused with that verdict.
func (t *Task) errFull(verdict sched.Verdict) error {
	switch key := t.item.Key; verdict {
	case sched.FullKey:
		return &keyFull{name: key.Name, bound: key.PerKey}
	case sched.FullTotal:
		return &keyFull{bound: key.Total, total: true}
	default:
		return ErrFull
	}
}

// keyFull is ErrFull with its reason. It is put into words only when somebody reads it.
type keyFull struct {
	name  string // unless total is set
	bound int
	total bool
}

func (e *keyFull) Error() string {
	if e.total {
		return fmt.Sprintf("%v: its Keyed has %d unfinished tasks", ErrFull, e.bound)
	}
	return fmt.Sprintf("%v: key %q has %d unfinished tasks", ErrFull, e.name, e.bound)
}

func (e *keyFull) Unwrap() error { return ErrFull }

// logRefused logs a refusal, unless there was a line less than a second ago.
func (m *Manager) logRefused(ctx context.Context, t *Task, err error) {
	suppressed, say := m.refusals.next(time.Now(), m.flushSoon)
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

func (m *Manager) logSuppressed(ctx context.Context, suppressed uint64) {
	m.line(ctx, slog.LevelWarn, "more background tasks refused", func() []slog.Attr {
		return []slog.Attr{slog.Uint64("suppressed", suppressed)}
	})
}

// flushSoon is flushRefusals on the goroutine of a timer, which a shutdown waits for.
func (m *Manager) flushSoon() {
	m.mu.Lock()
	m.helpers++
	m.mu.Unlock()
	defer m.helped()
	m.flushRefusals()
}

// flushRefusals logs how many refusals were suppressed, if any were.
func (m *Manager) flushRefusals() {
	m.refusals.mu.Lock()
	var suppressed uint64
	if m.refusals.suppressed > 0 {
		suppressed = m.refusals.take(time.Now())
	}
	m.refusals.mu.Unlock()
	if suppressed > 0 {
		m.logSuppressed(context.Background(), suppressed)
	}
}

// closeRefusals logs how many refusals were suppressed. Later ones start no timer.
func (m *Manager) closeRefusals() {
	m.refusals.mu.Lock()
	m.refusals.closed = true
	m.refusals.mu.Unlock()
	m.flushRefusals()
}
