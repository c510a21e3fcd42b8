package core

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
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

// refusals keeps the lines about refused tasks down to one a second. Refusals without a line of
// their own are suppressed: a line says how many, a second after the last line at the latest.
type refusals struct {
	mu         sync.Mutex
	last       time.Time // of a line
	suppressed uint64    // since last
	timer      *time.Timer
	closed     bool // a shutdown has returned: no timer any more
}

// next reports whether a refusal at now gets a line, and how many were suppressed before it. If
// not, flush is called within a second, unless the refusals are closed.
func (r *refusals) next(now time.Time, flush func()) (suppressed uint64, say bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait := time.Second - now.Sub(r.last); !r.last.IsZero() && wait > 0 {
		r.suppressed++
		if r.suppressed == 1 && !r.closed {
			r.timer = time.AfterFunc(wait, flush)
		}
		return 0, false
	}
	return r.take(now), true
}

// take returns how many refusals were suppressed, and forgets them. r.mu is held.
func (r *refusals) take(now time.Time) (suppressed uint64) {
	suppressed, r.suppressed, r.last = r.suppressed, 0, now
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	return suppressed
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
