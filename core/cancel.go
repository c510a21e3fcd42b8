package core

import (
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// Cancel cancels the task's context with [ErrCancelled] as its cause, and does not wait. The Func
// of a queued task is not called. A task that is done stays as it is.
func (t *Task) Cancel() {
	m := t.manager
	if m == nil {
		t.markCancelled(ErrCancelled)
		return
	}
	m.mu.Lock()
	m.cancelTask(t, ErrCancelled)
	m.mu.Unlock()
	t.cancelContext()
}

// CancelAll cancels what runs and waits now, with [ErrCancelled] as the cause, and does not wait
// for it. New tasks are still taken.
func (m *Manager) CancelAll() {
	m.mu.Lock()
	tasks := m.cancelAll(ErrCancelled)
	m.mu.Unlock()
	for _, t := range tasks {
		t.cancelContext()
	}
}

// contextEnded cancels t, which is attached to the context given to Go, with that one's cause.
func (t *Task) contextEnded(cause error) {
	m := t.manager
	m.mu.Lock()
	if m.cancelTask(t, cause) {
		t.mu.Lock()
		t.byContext = true
		t.mu.Unlock()
	}
	m.mu.Unlock()
	t.cancelContext()
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

// isByContext reports whether cause, which cancelled t, is that of the context given to Go. The
// cause itself cannot tell: that context may be another task's, and have ended with ErrTimeout.
func (t *Task) isByContext(cause error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byContext && (cause != ErrTimeout || t.cause == ErrTimeout)
}

// causeWord returns a cause that cancelled t as log lines and spans show it.
func (t *Task) causeWord(cause error) string {
	if t.isByContext(cause) {
		return "context"
	}
	switch cause {
	case nil, ErrTimeout:
		return "timeout"
	case ErrShutdown:
		return "shutdown"
	default:
		return "cancel"
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
