package core

import (
	"context"
	"time"
)

// shutdown is what a manager knows of its own end. manager.mu guards it.
type shutdown struct {
	begun     bool
	names     bool    // a Shutdown, not only Close, is under way or over: it names the work that was lost
	before    Stats   // when it began
	lastID    uint64  // when it began
	refused   uint64  // when it began
	cancelled []*Task // those that it had to cancel
	named     int     // how many of them have a line of their own
}

// abandonTime is how long the Abandoned hooks may take together, once the time of a Shutdown is
// over.
const abandonTime = 50 * time.Millisecond

// Shutdown ends the manager. It refuses new tasks, lets those that run and wait finish, then
// cancels what is left, and waits for that. It returns when all have ended, or at the end of ctx,
// whatever the tasks do. If ctx has no deadline, the time of [WithShutdownTimeout] bounds it.
//
// It cancels, with [ErrShutdown] as the cause, as soon as ctx is done, or the grace of
// [WithCancelGrace] before ctx's deadline. Until then running tasks may start others with their own
// context. Give it a fresh context: with that of the signal, which is done, it has no time to
// drain.
//
// If it cancelled anything, or anything is left, the error is a [*ShutdownError] that names both,
// and each task that it cancelled is logged at WARN. A middleware can keep such work: its Handler
// sees the cancellation with cause ErrShutdown, for queued tasks too, and has the grace to store
// it.
//
// A later call waits, within its own bound, for what remains, and reports the figures as they then
// are.
//
// Shut the manager down before the tracer provider, or the last spans are lost, and give the
// provider time of its own: a task that does not stop uses up all of ctx. Do not call Shutdown from
// inside a task: it would wait for that task.
func (m *Manager) Shutdown(ctx context.Context) (ShutdownStats, error) {
	if ctx == nil {
		panic("afterspan: Shutdown: ctx is nil")
	}
	stats, report := m.stop(ctx, true)
	if len(report.Cancelled)+len(report.Remaining) == 0 {
		return stats, nil
	}
	return stats, report
}

// Close ends the manager without the drain: it cancels what runs and waits now, and waits for it up
// to the time of [WithShutdownTimeout]. It cuts short a Shutdown that is draining. If anything is
// left the error is a [*ShutdownError] that names it. Calling Close again is fine. Do not call it
// from inside a task: it would wait for that task.
func (m *Manager) Close() error {
	_, report := m.stop(context.Background(), false)
	if report.idle {
		return nil
	}
	return report.withoutEnded()
}

func (m *Manager) stop(ctx context.Context, drains bool) (ShutdownStats, *ShutdownError) {
	began := time.Now()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.shutdownTimeout)
		defer cancel()
	}
	first, work := m.beginShutdown(drains)
	if first {
		m.logShutdown(ctx, work)
	}
	if !drains || first && !m.drainUntilGrace(ctx) {
		m.closeAndCancel(ctx)
	}
	idle := m.Wait(ctx) == nil
	if !idle {
		m.abandon(ctx)
	}
	m.closeRefusals()
	idle = idle && m.Wait(ctx) == nil // for the line of a timer that was faster
	stats, report := m.report(began, first)
	report.idle, report.ctxErr = idle, ctx.Err()
	m.logShutdownEnd(ctx, report, work)
	return stats, report
}

// beginShutdown refuses new tasks from now on, and cancels those that are UntilShutdown. It reports
// whether it is the first call to do so, and whether there is any work.
func (m *Manager) beginShutdown(names bool) (first, work bool) {
	m.mu.Lock()
	s := &m.shutdown
	s.names = s.names || names
	if s.begun {
		work = !m.sched.Idle()
		m.mu.Unlock()
		return false, work
	}
	before := m.counted
	before.Running, before.Queued = m.sched.Running(), m.sched.Queued()
	s.begun, s.before, s.lastID, s.refused = true, before, m.lastID, m.refused
	for _, it := range m.sched.Drain() {
		close(it.Owner.run.admitted)
	}
	close(m.draining)
	pollers := m.cancelPollers()
	work = !m.sched.Idle()
	m.wakeIfIdle()
	m.mu.Unlock()
	for _, t := range pollers {
		t.cancelContext()
	}
	return true, work
}

// cancelPollers marks the tasks that are UntilShutdown as cancelled. m.mu is held.
func (m *Manager) cancelPollers() (pollers []*Task) {
	for _, t := range m.unended() {
		if t.options.untilShutdown {
			m.cancelTask(t, ErrShutdown)
			pollers = append(pollers, t)
		}
	}
	return pollers
}

// drainUntilGrace waits for all tasks until it is time to cancel, and reports whether they have
// ended.
func (m *Manager) drainUntilGrace(ctx context.Context) bool {
	deadline, _ := ctx.Deadline()
	grace := min(m.cancelGrace, time.Until(deadline)/2)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-grace))
	defer cancel()
	return m.Wait(ctx) == nil
}

// closeAndCancel accepts nothing any more, and cancels what is left. Very many contexts with
// children take a while to cancel: at the end of ctx it leaves the rest to its goroutine.
func (m *Manager) closeAndCancel(ctx context.Context) {
	done := make(chan struct{})
	m.mu.Lock()
	m.sched.Close()
	tasks := m.unended()
	for _, t := range tasks {
		if m.cancelTask(t, ErrShutdown) {
			m.shutdown.cancelled = append(m.shutdown.cancelled, t)
		}
	}
	m.help(func() {
		defer close(done)
		for _, t := range tasks {
			t.cancelContext()
		}
	})
	m.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// isLoss reports whether t, which was cancelled with that cause, is work that a Shutdown did not
// let finish, and gets a line of its own.
func (m *Manager) isLoss(t *Task, cause error) bool {
	if cause != ErrShutdown || t.options.untilShutdown || t.isByContext(cause) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := &m.shutdown; s.names && s.named < mostNamed {
		s.named++
		return true
	}
	return false
}

// abandon calls the Abandoned hooks for the tasks that still run.
func (m *Manager) abandon(ctx context.Context) {
	if len(m.abandoneds) == 0 {
		return
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	done := make(chan struct{})
	m.mu.Lock()
	tasks := make([]*Task, 0, m.sched.Running())
	for t := range m.sched.Started {
		tasks = append(tasks, t)
	}
	m.help(func() {
		defer close(done)
		for _, t := range tasks {
			if bound.Err() != nil {
				return
			}
			m.abandonTask(bound, t)
		}
	})
	m.mu.Unlock()
	select {
	case <-done:
	case <-bound.Done():
	}
}

// abandonTask calls the Abandoned hooks for t, unless it has ended or they were called.
func (m *Manager) abandonTask(bound context.Context, t *Task) {
	t.mu.Lock()
	skip := t.isDone || t.abandoned || t.dequeued
	t.abandoned = t.abandoned || !skip
	t.mu.Unlock()
	if skip {
		return
	}
	deadline, _ := bound.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(t.logContext()), deadline)
	defer cancel()
	m.call(ctx, "Abandoned", m.abandoneds, t)
}
