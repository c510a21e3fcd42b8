package core

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// log returns where to log, and whether a line of that level is wanted there.
func (m *Manager) log(ctx context.Context, level slog.Level) (l *slog.Logger, enabled bool) {
	l = m.logger
	if l == nil {
		l = slog.Default()
	}
	return l, l.Enabled(ctx, level)
}

// contain is deferred around calls of what is the user's, a log handler or an error: a panic in it must
// not harm a task.
func contain() { _ = recover() }

// logsCreated reports whether there is to be a line about the creation of t.
func (m *Manager) logsCreated(t *Task) (yes bool) {
	defer contain()
	_, yes = m.log(t.values, slog.LevelDebug)
	return yes
}

func (m *Manager) logCreated(t *Task) {
	defer contain()
	if l, ok := m.log(t.values, slog.LevelDebug); ok {
		about := []any{"name", t.name, "id", t.id}
		if t.options.timeout > 0 {
			about = append(about, "timeout", t.options.timeout)
		}
		task := slog.Group("task", about...)
		l.LogAttrs(t.values, slog.LevelDebug, "background task created", withAttrs(t, task)...)
	}
}

func (m *Manager) logEnd(t *Task, outcome Outcome, err error) {
	defer contain()
	level := endLevel(outcome)
	ctx := t.logContext()
	if l, ok := m.log(ctx, level); ok {
		l.LogAttrs(ctx, level, "background task "+endWord(outcome), endAttrs(t, outcome, err)...)
	}
}

// logLeftBehind logs what became of a Func that a middleware had not waited for.
func (m *Manager) logLeftBehind(t *Task, err error) {
	defer contain()
	ctx, level := t.logContext(), slog.LevelDebug
	if _, panicked := panicIn(err); panicked {
		level = slog.LevelError
	}
	if l, ok := m.log(ctx, level); ok && err != nil {
		l.LogAttrs(ctx, level, "background task returned after a middleware had given it up", endAttrs(t, t.OutcomeOf(err), err)...)
	}
}

func endLevel(o Outcome) slog.Level {
	switch o {
	case Failed:
		return slog.LevelError
	case TimedOut:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

func endWord(o Outcome) string {
	if o == TimedOut {
		return "timed out"
	}
	return o.String()
}

func endAttrs(t *Task, outcome Outcome, err error) []slog.Attr {
	attrs := withAttrs(t, slog.Group("task",
		"name", t.name, "id", t.id, "duration", time.Since(t.StartedAt()), "outcome", outcome.String()))
	if err == nil {
		return attrs
	}
	attrs = append(attrs, slog.Any("error", err))
	if panicked, ok := panicIn(err); ok {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	return attrs
}

// withAttrs returns the task group, and beside it the task's own attributes.
func withAttrs(t *Task, task slog.Attr) []slog.Attr {
	return append([]slog.Attr{task}, t.options.attrs...)
}

func (m *Manager) logRefused(ctx context.Context, t *Task, err error, heldBack uint64) {
	defer contain()
	if l, ok := m.log(ctx, slog.LevelWarn); ok {
		attrs := withAttrs(t, slog.Group("task", "name", t.name, "outcome", Rejected.String()))
		attrs = append(attrs, slog.Any("error", err), slog.Uint64("held_back", heldBack))
		l.LogAttrs(ctx, slog.LevelWarn, "background task refused", attrs...)
	}
}

// logTask logs at WARN that t is still there, and where: which of the stacks is its own.
func (m *Manager) logTask(msg string, t *Task, stacks map[string]string) {
	defer contain()
	ctx := t.logContext()
	l, ok := m.log(ctx, slog.LevelWarn)
	if !ok {
		return
	}
	info := t.Info()
	attrs := withAttrs(t, slog.Group("task", "name", t.name, "id", t.id, "state", info.State, "age", info.Age))
	if stack, ok := stacks[stackKey(t)]; ok {
		attrs = append(attrs, slog.String("stack", stack))
	}
	l.LogAttrs(ctx, slog.LevelWarn, msg, attrs...)
}

func (m *Manager) logShutdown(ctx context.Context) {
	defer contain()
	if l, ok := m.log(ctx, slog.LevelInfo); ok {
		stats := m.Stats()
		l.LogAttrs(ctx, slog.LevelInfo, "shutdown of background tasks began",
			slog.Int("running", stats.Running), slog.Int("queued", stats.Queued))
	}
}

func (m *Manager) logShutdownEnd(ctx context.Context, stats ShutdownStats, left []*Task) {
	m.logLeftOver(left)
	defer contain()
	if l, ok := m.log(ctx, slog.LevelInfo); ok {
		l.LogAttrs(ctx, slog.LevelInfo, "shutdown of background tasks ended",
			slog.String("status", stats.Status),
			slog.Int("initial_tasks", stats.InitialTasks),
			slog.Int("spawned_tasks", stats.SpawnedTasks),
			slog.Int("completed_tasks", stats.CompletedTasks),
			slog.Int("failed_tasks", stats.FailedTasks),
			slog.Int("cancelled_tasks", stats.CancelledTasks),
			slog.Int("timed_out_tasks", stats.TimedOutTasks),
			slog.Int("remaining_tasks", stats.RemainingTasks),
			slog.Uint64("rejected_tasks", m.Stats().Rejected),
			slog.Duration("duration", stats.Duration))
	}
}

// logLeftOver logs the tasks that did not stop: not all of very many, nor for long, since the time is over.
func (m *Manager) logLeftOver(left []*Task) {
	const (
		most    = 20
		longest = time.Second
	)
	if len(left) == 0 {
		return
	}
	stacks, began := goroutineStacks(), time.Now()
	for _, t := range left[:min(most, len(left))] {
		m.logTask("background task left over at the end of the shutdown", t, stacks)
		if time.Since(began) > longest {
			return
		}
	}
}

// refusals keeps the lines about refused tasks down to one a second.
type refusals struct {
	mu       sync.Mutex
	last     time.Time
	heldBack uint64 // since last
}

// next reports whether the refusal at now gets a line, and how many before it got none.
func (r *refusals) next(now time.Time) (heldBack uint64, say bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.last.IsZero() && now.Sub(r.last) < time.Second {
		r.heldBack++
		return 0, false
	}
	heldBack = r.heldBack
	r.last, r.heldBack = now, 0
	return heldBack, true
}
