package core

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// shutdown is the state of a manager's shutdown. Manager.mu guards it.
type shutdown struct {
	// When it began.
	before Stats
	lastID uint64

	cancelled  []*Task // that it had to cancel
	handedOver int     // tasks that it cancelled, UntilShutdown or not, and a middleware handed over
	calls      int     // of Shutdown and Close that have not returned
	logsLost   bool    // Shutdown was called, not only Close: tasks that it cancels are logged by name
	lostLines  int     // tasks logged by name so far
}

// abandonTime limits all Abandoned hooks together, after the bound of a Shutdown or Close.
const abandonTime = 20 * time.Millisecond

// Shutdown refuses new tasks and lets running and queued tasks finish. Then it cancels the rest and
// waits for them. It returns when all tasks have ended, or shortly after ctx is done, whatever the
// tasks do: Abandoned hooks may take 20 ms more, and log lines about a second. Only a log handler
// that blocks delays it further. If ctx has no deadline, [WithShutdownTimeout] sets one.
//
// It cancels with [ErrShutdown] as the cause. It does so [WithCancelGrace] before ctx's deadline,
// or when ctx is done, whichever comes first. Until then a running task can start tasks by passing
// its own context to Go. Give Shutdown a fresh context: one that the signal has cancelled leaves no
// time to drain.
//
// If it cancelled tasks that did not complete, or tasks are still running, the error is a
// [*ShutdownError] that names them. The first twenty that it cancelled are logged at WARN, the
// rest as a number. A middleware can save their work: its Handler sees the context cancelled with
// ErrShutdown, for queued tasks too, and has until ctx's deadline to store it. It then returns an
// error that matches [ErrHandedOver].
//
// A later call only waits, until its own ctx is done, and returns the figures at that time.
//
// Shut the manager down before the tracer provider, or the last spans are lost. Give the provider a
// timeout of its own: a task that does not stop uses up all of ctx. Do not call Shutdown from
// inside a task, a hook or a log handler: it would wait for itself.
func (m *Manager) Shutdown(ctx context.Context) (ShutdownStats, error) {
	if ctx == nil {
		panic("afterspan: Shutdown: ctx is nil")
	}
	a := m.stop(ctx, true)
	if len(a.lost)+len(a.left) == 0 {
		return a.stats, nil
	}
	return a.stats, a.shutdownError()
}

// Close cancels all running and queued tasks and waits for them, at most for the time of
// [WithShutdownTimeout]. It cuts short a Shutdown that is draining. If a task, a hook or a log
// handler is still running, the error is a [*ShutdownError] that names the tasks. Close may be
// called again. Do not call it from inside a task, a hook or a log handler: it would wait for
// itself.
func (m *Manager) Close() error {
	a := m.stop(context.Background(), false)
	if a.idle {
		return nil
	}
	// Close was asked to cancel, so only tasks that have not ended are an error.
	a.lost = slices.DeleteFunc(a.lost, func(s sighting) bool { return s.done })
	return a.shutdownError()
}

// stop implements Shutdown and Close: it drains, for Shutdown only, cancels the tasks that are
// left, and waits for them.
func (m *Manager) stop(ctx context.Context, drains bool) account {
	began := time.Now()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.shutdownTimeout)
		defer cancel()
	}
	first, work := m.beginShutdown(drains)
	defer m.endShutdown() // deferred, because a log handler may call runtime.Goexit
	if first {
		m.logShutdown(ctx, work, drains)
	}
	reported := make(chan struct{})
	defer close(reported)
	if !drains || first && !m.drainUntilGrace(ctx) {
		m.closeAndCancel(ctx, reported)
	}
	if m.Wait(ctx) != nil && m.givesUp() {
		m.abandon(ctx)
	}
	m.closeRefusals()
	_ = m.Wait(ctx) // the timer of the refusals may have fired, and still be logging
	a := m.account(began, first, ctx.Err())
	m.logShutdownEnd(ctx, a, work)
	return a
}

// endShutdown is called when a Shutdown or Close returns.
func (m *Manager) endShutdown() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shutdown.calls--
}

// beginShutdown makes the manager refuse new tasks, and cancels the tasks that are UntilShutdown.
// It reports whether this is the first Shutdown or Close, and whether a task is unfinished.
func (m *Manager) beginShutdown(drains bool) (first, work bool) {
	m.mu.Lock()
	s := &m.shutdown
	s.calls++
	s.logsLost = s.logsLost || drains
	if m.sched.Draining() {
		work = !m.sched.Idle()
		m.mu.Unlock()
		return false, work
	}
	s.before, s.lastID, s.handedOver = m.counted, m.lastID, 0
	s.before.Running, s.before.Queued = m.sched.Running(), m.sched.Queued()
	for _, item := range m.sched.Drain() {
		close(item.Owner.run.admitted)
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
	for _, t := range m.unfinished() {
		if t.options.untilShutdown {
			m.cancelTask(t, ErrShutdown, byManager)
			pollers = append(pollers, t)
		}
	}
	return pollers
}

// drainUntilGrace waits for all tasks until the grace begins, and reports whether they have ended.
func (m *Manager) drainUntilGrace(ctx context.Context) bool {
	deadline, _ := ctx.Deadline()
	grace := min(m.cancelGrace, time.Until(deadline)/2)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-grace))
	defer cancel()
	return m.Wait(ctx) == nil
}

// closeAndCancel refuses all tasks from now on and cancels the unfinished ones. To cancel very many
// contexts takes long, so a goroutine does it, and closeAndCancel waits for that until ctx is done.
// Then the goroutine pauses until reported is closed: a hundred thousand tasks that wake up would
// keep the report from being made in time.
func (m *Manager) closeAndCancel(ctx context.Context, reported <-chan struct{}) {
	m.mu.Lock()
	m.sched.Close()
	tasks := m.unfinished()
	m.shutdown.cancelled = slices.Grow(m.shutdown.cancelled, len(tasks))
	for _, t := range tasks {
		if m.cancelTask(t, ErrShutdown, byManager) {
			t.byShutdown = true
			m.shutdown.cancelled = append(m.shutdown.cancelled, t)
		}
	}
	done := m.help(func() {
		for i, t := range tasks {
			if ctx.Err() != nil && m.pauseUntil(reported) {
				return
			}
			if i%100 == 99 {
				runtime.Gosched() // let those that were cancelled end before the next
			}
			t.cancelContext()
		}
	})
	m.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// pauseUntil waits until reported is closed, without being a helper meanwhile. It reports whether
// nothing is left to cancel then.
func (m *Manager) pauseUntil(reported <-chan struct{}) (idle bool) {
	m.helped()
	<-reported
	m.mu.Lock()
	defer m.mu.Unlock()
	m.helpers++
	return m.sched.Idle()
}

// givesUp reports whether the tasks were cancelled and no other Shutdown or Close waits for them.
func (m *Manager) givesUp() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sched.Closed() && m.shutdown.calls == 1
}

// abandon calls the Abandoned hooks for the tasks that still run, at most for abandonTime.
func (m *Manager) abandon(ctx context.Context) {
	if len(m.abandoneds) == 0 {
		return
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
	defer cancel()
	m.mu.Lock()
	tasks := slices.Collect(m.sched.Started)
	done := m.help(func() {
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

// abandonTask calls the Abandoned hooks for t once, unless its outcome is decided or it skips its
// Func.
func (m *Manager) abandonTask(bound context.Context, t *Task) {
	t.mu.Lock()
	over := t.outcome != Pending || t.abandoned || t.skipped
	t.abandoned = t.abandoned || !over
	t.mu.Unlock()
	if over {
		return
	}
	deadline, _ := bound.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(t.logContext()), deadline)
	defer cancel()
	m.callHooks(ctx, "Abandoned", m.abandoneds, t)
}
