package core

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// ShutdownStats counts what happened to the tasks of a shutdown. The counts are of one instant:
// initial + spawned = completed + failed + cancelled + timed_out + rejected + remaining.
type ShutdownStats struct {
	// Status is "timeout" if tasks remain, "cancelled" if the shutdown cancelled tasks (other than those
	// UntilShutdown) that did not complete, else "completed". It is "already_shutdown" for every call
	// but the first.
	Status string `json:"status"`

	InitialTasks   int           `json:"initial_tasks"` // running or queued when the shutdown began
	SpawnedTasks   int           `json:"spawned_tasks"` // accepted during the drain
	CompletedTasks int           `json:"completed_tasks"`
	FailedTasks    int           `json:"failed_tasks"`
	CancelledTasks int           `json:"cancelled_tasks"` // by anyone
	TimedOutTasks  int           `json:"timed_out_tasks"`
	RejectedTasks  int           `json:"rejected_tasks"`  // refused by a middleware
	RemainingTasks int           `json:"remaining_tasks"` // did not stop
	Duration       time.Duration `json:"-"`               // of this call; marshals as duration_seconds
}

// MarshalJSON encodes the tagged fields and duration_seconds.
func (s ShutdownStats) MarshalJSON() ([]byte, error) {
	type plain ShutdownStats
	return json.Marshal(struct {
		plain
		DurationSeconds float64 `json:"duration_seconds"`
	}{plain(s), s.Duration.Seconds()})
}

// A ShutdownError names the tasks that a shutdown cancelled or left running. It is the error of
// [Manager.Shutdown] if there are any, and of [Manager.Close] if anything is still running.
type ShutdownError struct {
	Stats     ShutdownStats
	Cancelled []TaskInfo // by the shutdown; they did not complete, or have still to pass their chain; oldest first
	Remaining []TaskInfo // still running; oldest first

	ctxErr error // of the context that bounded the shutdown, at its end
}

// Error names up to five tasks of each kind.
func (e *ShutdownError) Error() string {
	var b strings.Builder
	b.WriteString("afterspan: shutdown")
	if len(e.Cancelled)+len(e.Remaining) == 0 {
		b.WriteString(" left a log handler or a hook running")
	}
	if len(e.Cancelled) > 0 {
		fmt.Fprintf(&b, " cancelled %d task(s)%s", len(e.Cancelled), names(e.Cancelled))
	}
	if len(e.Remaining) > 0 {
		sep := ""
		if len(e.Cancelled) > 0 {
			sep = ";"
		}
		fmt.Fprintf(&b, "%s left %d task(s) running after %v%s",
			sep, len(e.Remaining), e.Stats.Duration.Round(time.Millisecond), names(e.Remaining))
	}
	return b.String()
}

func names(tasks []TaskInfo) string {
	const most = 5
	var b strings.Builder
	sep := ": "
	for _, t := range tasks[:min(most, len(tasks))] {
		fmt.Fprintf(&b, "%s%s (id %d, %s, %v old)", sep, t.Name, t.ID, t.State, t.Age.Round(time.Millisecond))
		sep = ", "
	}
	if more := len(tasks) - most; more > 0 {
		fmt.Fprintf(&b, ", and %d more", more)
	}
	return b.String()
}

// Unwrap returns the error of the context that bounded the shutdown. If that was not done yet, it
// returns [context.DeadlineExceeded]: the time to drain was over.
func (e *ShutdownError) Unwrap() error {
	if e.ctxErr == nil {
		return context.DeadlineExceeded
	}
	return e.ctxErr
}

// withoutEnded returns a copy of e without the cancelled tasks that have ended.
func (e *ShutdownError) withoutEnded() *ShutdownError {
	c := *e
	c.Cancelled = slices.DeleteFunc(slices.Clone(e.Cancelled), func(t TaskInfo) bool { return t.Done })
	return &c
}

// An account is how a shutdown went, all at one instant.
type account struct {
	stats  ShutdownStats
	lost   []sighting // tasks that the shutdown cancelled, and that did not complete
	left   []sighting // tasks that did not stop
	idle   bool       // nothing is left: no task, no hook and no log handler
	ctxErr error
}

func (m *Manager) account(began time.Time, first bool, ctxErr error) account {
	m.mu.Lock()
	now := time.Now()
	lost, left := m.lost(now), m.left(now)
	a := account{m.shutdownStats(len(left)), lost, left, m.isIdle(), ctxErr}
	m.mu.Unlock()
	sortByID(lost)
	sortByID(left)
	a.stats.Duration = now.Sub(began)
	switch {
	case !first:
		a.stats.Status = "already_shutdown"
	case len(left) > 0:
		a.stats.Status = "timeout"
	case len(lost) > 0:
		a.stats.Status = "cancelled"
	default:
		a.stats.Status = "completed"
	}
	return a
}

func (a account) shutdownError() *ShutdownError {
	return &ShutdownError{Stats: a.stats, Cancelled: infos(a.lost), Remaining: infos(a.left), ctxErr: a.ctxErr}
}

// shutdownStats returns the figures since the shutdown began, of which so many tasks are left. A task
// that the shutdown cancelled in the queue counts as cancelled, even if it has still to pass its
// chain. m.mu is held.
func (m *Manager) shutdownStats(left int) ShutdownStats {
	now, before := m.counted, m.shutdown.before
	passing := m.sched.Running() + m.sched.Queued() - left
	return ShutdownStats{
		InitialTasks:   before.Running + before.Queued,
		SpawnedTasks:   int(m.lastID - m.shutdown.lastID),
		CompletedTasks: int(now.Completed - before.Completed),
		FailedTasks:    int(now.Failed - before.Failed),
		CancelledTasks: int(now.Cancelled-before.Cancelled) + passing,
		TimedOutTasks:  int(now.TimedOut - before.TimedOut),
		RejectedTasks:  int(now.Rejected - before.Rejected),
		RemainingTasks: left,
	}
}

// lost returns the tasks that the shutdown cancelled and that did not complete. m.mu is held.
func (m *Manager) lost(now time.Time) []sighting {
	lost := make([]sighting, 0, len(m.shutdown.cancelled))
	for _, t := range m.shutdown.cancelled {
		if s := t.seen(now); s.lost {
			lost = append(lost, s)
		}
	}
	return lost
}

// left returns the tasks that did not stop, other than those in lost. m.mu is held.
func (m *Manager) left(now time.Time) (left []sighting) {
	for t := range m.sched.Unfinished {
		if s := t.seen(now); !s.lost {
			left = append(left, s)
		}
	}
	return left
}

// isLost reports whether the shutdown cancelled t, and t is work lost: it skips its Func, or has ended
// otherwise than by completing or by its own timeout. manager.mu and t.mu are held.
func (t *Task) isLost() bool {
	switch {
	case !t.byShutdown:
		return false
	case t.isDone:
		return t.outcome != Completed && t.outcome != TimedOut
	default:
		return t.skipped
	}
}

// maxNamed is how many tasks that were cancelled, and how many that are left, are logged by name.
const maxNamed = 20

func (m *Manager) logShutdown(ctx context.Context, work, drains bool) {
	stats := m.Stats()
	attrs := func() []slog.Attr {
		return []slog.Attr{slog.Int("running", stats.Running), slog.Int("queued", stats.Queued)}
	}
	m.line(ctx, levelFor(work), "shutdown of background tasks began", attrs)
	if work && drains && ctx.Err() != nil {
		const msg = "shutdown of background tasks has no time to drain: its context is done"
		m.line(ctx, slog.LevelWarn, msg, attrs)
	}
}

func levelFor(work bool) slog.Level {
	if work {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (m *Manager) logShutdownEnd(ctx context.Context, a account, work bool) {
	m.logLeftOver(a)
	m.mu.Lock()
	named, logsLost := m.shutdown.lostLines, m.shutdown.logsLost
	m.mu.Unlock()
	if lost := len(a.lost); logsLost && lost > named {
		m.line(ctx, slog.LevelWarn, "more background tasks cancelled by the shutdown", func() []slog.Attr {
			return []slog.Attr{slog.Int("cancelled_tasks", lost), slog.Int("named", named)}
		})
	}
	m.line(ctx, levelFor(work), "shutdown of background tasks ended", a.stats.attrs)
}

func (s ShutdownStats) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("status", s.Status),
		slog.Int("initial_tasks", s.InitialTasks),
		slog.Int("spawned_tasks", s.SpawnedTasks),
		slog.Int("completed_tasks", s.CompletedTasks),
		slog.Int("failed_tasks", s.FailedTasks),
		slog.Int("cancelled_tasks", s.CancelledTasks),
		slog.Int("timed_out_tasks", s.TimedOutTasks),
		slog.Int("rejected_tasks", s.RejectedTasks),
		slog.Int("remaining_tasks", s.RemainingTasks),
		slog.Duration("duration", s.Duration),
	}
}

// logLeftOver logs tasks that have not ended: up to maxNamed, and for about a second at most.
func (m *Manager) logLeftOver(a account) {
	const longest = time.Second
	left := a.left
	for _, s := range a.lost {
		if !s.done {
			left = append(left, s)
		}
	}
	if len(left) == 0 {
		return
	}
	stacks, began := goroutineStacks(), time.Now()
	for _, s := range left[:min(maxNamed, len(left))] {
		m.logWithStack("background task left over at the end of the shutdown", s.task, s.info(), stacks)
		if time.Since(began) > longest {
			return
		}
	}
}
