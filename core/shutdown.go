package core

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"
)

// ShutdownStats says what a shutdown came to. Its figures are all of one instant:
// initial + spawned = completed + failed + cancelled + timed_out + remaining.
type ShutdownStats struct {
	// Status is "completed" if nothing is left, "timeout" if something is, and
	// "already_shutdown" for every call but the first.
	Status string `json:"status"`

	InitialTasks   int           `json:"initial_tasks"` // ran or waited when the shutdown began
	SpawnedTasks   int           `json:"spawned_tasks"` // were started since, by tasks that still ran
	CompletedTasks int           `json:"completed_tasks"`
	FailedTasks    int           `json:"failed_tasks"`
	CancelledTasks int           `json:"cancelled_tasks"`
	TimedOutTasks  int           `json:"timed_out_tasks"`
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

// shutdown is what a manager remembers of its own.
type shutdown struct {
	begun  bool
	before Stats // when it began
}

// Shutdown ends the manager: it refuses new tasks, lets those that run and wait finish, then cancels
// what is left, and waits for that. It returns when all have ended, or at the end of ctx,
// whatever the tasks do. Where ctx has no deadline, the one of [WithShutdownTimeout] counts.
//
// It cancels, with [ErrShutdown] as the cause, as soon as ctx is done, or the grace of [WithCancelGrace]
// before ctx's deadline. Until then the tasks that still run may start others with their own context.
//
// While anything is left the error is a [*ShutdownError] that names it. A later call waits, within its own
// bound, for what remains, and reports the figures as they then are.
//
// Shut the manager down before the tracer provider, or the last spans are lost, and give the provider time of
// its own: a task that does not stop uses up all of ctx. Do not call Shutdown from inside a task: it would wait
// for it.
func (m *Manager) Shutdown(ctx context.Context) (ShutdownStats, error) {
	if ctx == nil {
		panic("core: Shutdown: ctx is nil")
	}
	return m.stop(ctx, draining)
}

// Close ends the manager without the drain: it cancels what runs and waits now, and waits for it up
// to the timeout of [WithShutdownTimeout]. It cuts short a Shutdown that is draining. While
// anything is left the error is a [*ShutdownError]. Calling it again is fine. Do not call
// it from inside a task: it would wait for it.
func (m *Manager) Close() error {
	_, err := m.stop(context.Background(), closed)
	return err
}

func (m *Manager) stop(ctx context.Context, to phase) (ShutdownStats, error) {
	began := time.Now()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.shutdownTimeout)
		defer cancel()
	}
	first := m.beginShutdown()
	if first {
		m.logShutdown(ctx)
	}
	if to == closed || first && !m.drainUntilGrace(ctx) {
		m.closeAndCancel()
	}
	err := m.Wait(ctx)
	return m.report(ctx, first, began, err)
}

// beginShutdown refuses new tasks from now on, and reports whether this is the first call to do so.
func (m *Manager) beginShutdown() (first bool) {
	m.lockAll()
	defer m.unlockAll()
	if m.shutdown.begun {
		return false
	}
	m.shutdown = shutdown{begun: true, before: m.statsLocked()}
	for _, sh := range m.shards.all {
		sh.drainLocked()
	}
	return true
}

func (sh *shard) drainLocked() {
	sh.phase = draining
	for e := sh.waiters.Front(); e != nil; e = sh.waiters.Front() {
		sh.decideLocked(e.Value.(*waiter), ErrClosed)
	}
	sh.wakeIfIdleLocked()
}

// drainUntilGrace waits for all tasks until it is time to cancel, and reports whether they have ended.
func (m *Manager) drainUntilGrace(ctx context.Context) bool {
	deadline, _ := ctx.Deadline()
	grace := min(m.cancelGrace, time.Until(deadline)/2)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-grace))
	defer cancel()
	return m.Wait(ctx) == nil
}

// closeAndCancel accepts nothing any more, and cancels what is left.
func (m *Manager) closeAndCancel() {
	m.lockAll()
	for _, sh := range m.shards.all {
		sh.phase = closed
	}
	tasks := m.cancelAllLocked(ErrShutdown)
	m.unlockAll()
	cancelContexts(tasks, ErrShutdown)
}

func (m *Manager) report(ctx context.Context, first bool, began time.Time, waitErr error) (ShutdownStats, error) {
	stats, left, infos := m.shutdownStats()
	sortByAge(left)
	slices.SortFunc(infos, func(a, b TaskInfo) int { return cmp.Compare(a.ID, b.ID) })
	stats.Duration = time.Since(began)
	switch {
	case !first:
		stats.Status = "already_shutdown"
	case len(left) > 0:
		stats.Status = "timeout"
	default:
		stats.Status = "completed"
	}
	m.logShutdownEnd(ctx, stats, left)
	if len(left) == 0 {
		return stats, nil
	}
	return stats, &ShutdownError{Stats: stats, Tasks: infos, err: waitErr}
}

// shutdownStats returns the figures since the shutdown began, and what is left, of one instant.
func (m *Manager) shutdownStats() (stats ShutdownStats, left []*Task, infos []TaskInfo) {
	m.lockAll()
	defer m.unlockAll()
	left = m.tasksLocked()
	for _, t := range left {
		infos = append(infos, t.infoLocked())
	}
	now, before := m.statsLocked(), m.shutdown.before
	return ShutdownStats{
		InitialTasks:   before.Running + before.Queued,
		SpawnedTasks:   int(now.Created - before.Created),
		CompletedTasks: int(now.Completed - before.Completed),
		FailedTasks:    int(now.Failed - before.Failed),
		CancelledTasks: int(now.Cancelled - before.Cancelled),
		TimedOutTasks:  int(now.TimedOut - before.TimedOut),
		RemainingTasks: len(left),
	}, left, infos
}
