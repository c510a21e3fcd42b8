package core

import "time"

// CancelAll cancels what runs and waits now, with [ErrCancelled] as the cause, and does not
// wait for it. New tasks are still taken.
func (m *Manager) CancelAll() { m.cancel(ErrCancelled, m.tasks()...) }

// cancel cancels the contexts of tasks, and ends those at once that are queued.
func (m *Manager) cancel(cause error, tasks ...*Task) {
	for _, t := range tasks {
		if m.noteCancel(t, cause) {
			t.cancel(cause)
		}
	}
}

// noteCancel takes a queued task out of the queue, and reports whether t is there at all.
func (m *Manager) noteCancel(t *Task, cause error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.place == nowhere {
		return false
	}
	if t.cancelled == 0 {
		t.cancelled = max(time.Since(t.created), 1)
		m.watchLocked(overdueAfter)
	}
	if t.place == queued {
		m.dequeueLocked(t, cause)
	}
	return true
}
