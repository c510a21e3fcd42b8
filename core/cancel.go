package core

import (
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// cancelWith cancels t, unless it has ended, for that cause.
func (t *Task) cancelWith(cause error) {
	if m := t.manager; m != nil {
		m.mu.Lock()
		m.cancelTask(t, cause)
		m.mu.Unlock()
		t.cancelContext()
		return
	}
	t.markCancelled(cause)
}

// cancelAll marks all tasks as cancelled and returns them, so that their contexts can be cancelled
// without the lock. It is one critical section, so no queued task starts in the slot of a task that
// was just cancelled. m.mu is held.
func (m *Manager) cancelAll(cause error) []*Task {
	tasks := m.unended()
	for _, t := range tasks {
		m.cancelTask(t, cause)
	}
	return tasks
}

// cancelTask marks t as cancelled if it has been accepted and has not ended, and reports whether it
// was the first to do so. It takes a queued task out of the queue. m.mu is held.
func (m *Manager) cancelTask(t *Task, cause error) (first bool) {
	state := t.item.State()
	if state == sched.Out || state == sched.Waiting {
		return false
	}
	if first = t.markCancelled(cause); first {
		m.watchFrom(time.Now().Add(overdueAfter))
	}
	if state == sched.Queued {
		t.dequeue(cause)
		m.advance(m.sched.Cancel(&t.item))
	}
	return first
}

// markCancelled records why and when t was cancelled, and reports whether it was the first to do
// so.
func (t *Task) markCancelled(cause error) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause != nil {
		return false
	}
	t.cause, t.cancelledAt = cause, time.Now()
	return true
}

// dequeue makes t, which was cancelled in the queue, skip its Func.
func (t *Task) dequeue(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dequeued = true
	if t.run.skip == nil {
		t.run.skip = cause
	}
}

// cancelContext cancels the context of t, which was marked as cancelled, if it runs. A task that
// has not started finds its cause when it does. Functions of the user's may run, so no lock may be
// held.
func (t *Task) cancelContext() {
	t.mu.Lock()
	r, cause := t.run, t.cause
	runs := r != nil && cause != nil && !t.started.IsZero()
	t.mu.Unlock()
	if runs {
		r.standard().cancel(cause)
	}
}
