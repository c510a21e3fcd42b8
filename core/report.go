package core

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// ShutdownStats counts what happened to the tasks of a shutdown. The counts are of one instant:
// initial + spawned = completed + failed + cancelled + timed_out + rejected + remaining.
type ShutdownStats struct {
	// Status is "timeout" if tasks remain, "cancelled" if the shutdown cancelled tasks (other than
	// those UntilShutdown) that did not complete and were not handed over, else "completed". It is
	// "already_shutdown" for every call but the first.
	Status string `json:"status"`

	InitialTasks   int           `json:"initial_tasks"` // running or queued when the shutdown began
	SpawnedTasks   int           `json:"spawned_tasks"` // accepted during the drain
	CompletedTasks int           `json:"completed_tasks"`
	FailedTasks    int           `json:"failed_tasks"`
	CancelledTasks int           `json:"cancelled_tasks"` // by anyone
	TimedOutTasks  int           `json:"timed_out_tasks"`
	RejectedTasks  int           `json:"rejected_tasks"`              // refused by a middleware
	RemainingTasks int           `json:"remaining_tasks"`             // did not stop
	HandedOver     int           `json:"handed_over_tasks,omitempty"` // of the cancelled: see ErrHandedOver
	Duration       time.Duration `json:"-"`                           // of this call; marshals as duration_seconds
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
	Cancelled []TaskInfo // by the shutdown, and not completed or handed over, or still in their chain; oldest first
	Remaining []TaskInfo // still running; oldest first

	ctxErr error // of the context that bounded the shutdown, at its end
}

// Error names up to five tasks of each kind.
func (e *ShutdownError) Error() string {
	var b strings.Builder
	b.WriteString("afterspan: shutdown")
	if len(e.Cancelled)+len(e.Remaining) == 0 {
		b.WriteString(" ended while a log handler or a hook was running, or contexts were being cancelled")
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
	return cmp.Or(e.ctxErr, context.DeadlineExceeded)
}

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
	if unnamed := m.takeUnnamed(a.cancelled()); unnamed > 0 {
		m.line(ctx, slog.LevelWarn, "more background tasks cancelled by the shutdown", func() []slog.Attr {
			return []slog.Attr{slog.Int("cancelled_tasks", unnamed)}
		})
	}
	m.line(ctx, levelFor(work), "shutdown of background tasks ended", a.stats.attrs)
}

// maxNamed limits how many cancelled tasks are logged by name, and how many that did not stop.
const maxNamed = 20

// takeLostLine reports whether t, which was cancelled for that cause, is logged by name as work
// that a Shutdown did not let finish. If so it counts the line.
func (m *Manager) takeLostLine(t *Task, cause error) bool {
	if cause != ErrShutdown || t.options.untilShutdown || t.isByContext(cause) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := &m.shutdown; s.logsLost && s.lostLines < maxNamed {
		s.lostLines++
		return true
	}
	return false
}

// takeUnnamed returns how many of the lost tasks were not logged by name. It counts them as logged,
// so that no later call reports them again.
func (m *Manager) takeUnnamed(lost int) (unnamed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.shutdown
	if !s.logsLost || lost <= s.lostLines {
		return 0
	}
	unnamed, s.lostLines = lost-s.lostLines, max(lost, maxNamed)
	return unnamed
}

func (s ShutdownStats) attrs() []slog.Attr {
	attrs := []slog.Attr{
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
	if s.HandedOver > 0 {
		attrs = append(attrs, slog.Int("handed_over_tasks", s.HandedOver))
	}
	return attrs
}

// logTime limits the lines about tasks that have not ended.
const logTime = time.Second

// logLeftOver logs tasks that have not ended: up to maxNamed, and for logTime at most. It does so
// on a goroutine of its own, because a LogValue may wait for what the task does not give back.
func (m *Manager) logLeftOver(a account) {
	left := a.left
	for _, s := range a.lost {
		if !s.done {
			left = append(left, s)
		}
	}
	if len(left) == 0 || !m.givesUp() {
		return
	}
	m.mu.Lock()
	done := m.help(func() { m.logEach(left) })
	m.mu.Unlock()
	select {
	case <-done:
	case <-time.After(logTime):
	}
}

// logEach logs the first of these tasks by name, and the number of the others.
func (m *Manager) logEach(left []sighting) {
	stacks, began := goroutineStacks(), time.Now()
	named := 0
	for named < min(maxNamed, len(left)) && time.Since(began) <= logTime {
		s := left[named]
		m.logWithStack("background task left over at the end of the shutdown", s.task, s.info(), stacks)
		named++
	}
	if others := len(left) - named; others > 0 {
		m.line(context.Background(), slog.LevelWarn, "more background tasks left over at the end of the shutdown",
			func() []slog.Attr { return []slog.Attr{slog.Int("remaining_tasks", others)} })
	}
}
