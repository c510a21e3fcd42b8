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

// ShutdownStats says what became of the tasks in a shutdown. Its figures are all of one instant:
// initial + spawned = completed + failed + cancelled + timed_out + rejected + remaining.
type ShutdownStats struct {
	// Status is "completed" if all work was done, "cancelled" if the shutdown had to cancel some,
	// "timeout" if something remains, and "already_shutdown" for every call but the first.
	Status string `json:"status"`

	InitialTasks   int           `json:"initial_tasks"` // ran or waited when the shutdown began
	SpawnedTasks   int           `json:"spawned_tasks"` // started since, by tasks that still ran
	CompletedTasks int           `json:"completed_tasks"`
	FailedTasks    int           `json:"failed_tasks"`
	CancelledTasks int           `json:"cancelled_tasks"` // whoever cancelled them
	TimedOutTasks  int           `json:"timed_out_tasks"`
	RejectedTasks  int           `json:"rejected_tasks"`  // refused by a middleware
	RemainingTasks int           `json:"remaining_tasks"` // did not stop
	Duration       time.Duration `json:"-"`               // of this call; marshals as duration_seconds
}

// MarshalJSON adds duration_seconds to what the field tags say.
func (s ShutdownStats) MarshalJSON() ([]byte, error) {
	type plain ShutdownStats
	return json.Marshal(struct {
		plain
		DurationSeconds float64 `json:"duration_seconds"`
	}{plain(s), s.Duration.Seconds()})
}

// A ShutdownError names the work that a shutdown lost. It is returned by [Manager.Shutdown] when
// tasks had to be cancelled or did not stop, and by [Manager.Close] when tasks did not stop.
type ShutdownError struct {
	Stats     ShutdownStats
	Cancelled []TaskInfo // the shutdown cancelled them, and they did not complete; oldest first
	Remaining []TaskInfo // did not stop; oldest first

	lost, left []sighting // Cancelled and Remaining
	idle       bool       // nothing was left
	ctxErr     error      // of the context that bounded the shutdown, at its end
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

// mostNamed is how many cancelled tasks, and how many left over, get a line of their own.
const mostNamed = 20

// report says what has become of the tasks since the shutdown began. All of it is of one instant.
func (m *Manager) report(began time.Time, first bool) (ShutdownStats, *ShutdownError) {
	m.mu.Lock()
	now := time.Now()
	stats := m.shutdownStats()
	lost, left := m.lost(now), m.left(now)
	m.mu.Unlock()

	stats.Duration = now.Sub(began)
	switch {
	case !first:
		stats.Status = "already_shutdown"
	case len(left) > 0:
		stats.Status = "timeout"
	case len(lost) > 0:
		stats.Status = "cancelled"
	default:
		stats.Status = "completed"
	}
	return stats, &ShutdownError{
		Stats: stats, Cancelled: infos(lost), Remaining: infos(left),
		lost: lost, left: left,
	}
}

// shutdownStats returns the figures since the shutdown began. A task that was cancelled in the
// queue counts as cancelled, though it may still have to pass its chain. m.mu is held.
func (m *Manager) shutdownStats() ShutdownStats {
	now, s := m.counted, &m.shutdown
	before := s.before
	dequeued := 0
	for t := range m.sched.Unended {
		if t.isDequeued() {
			dequeued++
		}
	}
	return ShutdownStats{
		InitialTasks:   before.Running + before.Queued,
		SpawnedTasks:   int(m.lastID - s.lastID),
		CompletedTasks: int(now.Completed - before.Completed),
		FailedTasks:    int(now.Failed - before.Failed),
		CancelledTasks: int(now.Cancelled-before.Cancelled) + dequeued,
		TimedOutTasks:  int(now.TimedOut - before.TimedOut),
		RejectedTasks:  int(now.Rejected - before.Rejected - (m.refused - s.refused)),
		RemainingTasks: m.sched.Running() + m.sched.Queued() - dequeued,
	}
}

// lost returns the tasks that the shutdown cancelled and that did not complete. m.mu is held.
func (m *Manager) lost(now time.Time) (lost []sighting) {
	for _, t := range m.shutdown.cancelled {
		if s := t.seen(now); s.state == Cancelled.String() || !s.done && t.isDequeued() {
			lost = append(lost, s)
		}
	}
	sortByID(lost)
	return lost
}

// left returns the tasks that did not stop. m.mu is held.
func (m *Manager) left(now time.Time) (left []sighting) {
	for t := range m.sched.Unended {
		if !t.isDequeued() {
			left = append(left, t.seen(now))
		}
	}
	sortByID(left)
	return left
}

// withoutEnded returns a copy of e that names of the cancelled tasks only those that have not
// ended.
func (e *ShutdownError) withoutEnded() *ShutdownError {
	c := *e
	c.Cancelled = slices.DeleteFunc(slices.Clone(e.Cancelled), func(t TaskInfo) bool { return t.Done })
	return &c
}

func (m *Manager) logShutdown(ctx context.Context, work bool) {
	stats := m.Stats()
	attrs := func() []slog.Attr {
		return []slog.Attr{slog.Int("running", stats.Running), slog.Int("queued", stats.Queued)}
	}
	m.line(ctx, levelFor(work), "shutdown of background tasks began", attrs)
	if work && ctx.Err() != nil {
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

func (m *Manager) logShutdownEnd(ctx context.Context, report *ShutdownError, work bool) {
	m.logLeftOver(report)
	m.mu.Lock()
	named, naming := m.shutdown.named, m.shutdown.names
	m.mu.Unlock()
	if lost := len(report.Cancelled); naming && lost > named {
		m.line(ctx, slog.LevelWarn, "background tasks cancelled by the shutdown", func() []slog.Attr {
			return []slog.Attr{slog.Int("cancelled_tasks", lost), slog.Int("named", named)}
		})
	}
	m.line(ctx, levelFor(work), "shutdown of background tasks ended", report.Stats.attrs)
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

// logLeftOver logs the tasks that have not ended: not all of very many, nor for long, since the
// time is over.
func (m *Manager) logLeftOver(report *ShutdownError) {
	const longest = time.Second
	left := report.left
	for _, s := range report.lost {
		if !s.done {
			left = append(left, s)
		}
	}
	if len(left) == 0 {
		return
	}
	stacks, began := goroutineStacks(), time.Now()
	for _, s := range left[:min(mostNamed, len(left))] {
		m.logWithStack("background task left over at the end of the shutdown", s.task, s.info(), stacks)
		if time.Since(began) > longest {
			return
		}
	}
}
