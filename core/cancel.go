package core

import (
	"context"
	"time"
)

// CancelAll cancels what runs and waits now, with [ErrCancelled] as the cause, and does not
// wait for it. New tasks are still taken.
func (m *Manager) CancelAll() {
	m.mu.Lock()
	tasks := m.cancelAllLocked(ErrCancelled)
	m.mu.Unlock()
	cancelContexts(tasks, ErrCancelled)
}

// cancelAllLocked takes down that all tasks are cancelled, and returns those whose contexts are to be. All in one
// go, lest a queued one starts in the slot of one that has just been cancelled.
func (m *Manager) cancelAllLocked(cause error) []*Task {
	tasks := m.tasksLocked()
	for _, t := range tasks {
		m.cancelLocked(t, cause)
	}
	return tasks
}

// cancelLocked takes down that t is cancelled, if it has been accepted and has not ended. A queued one is
// taken out of the queue.
func (m *Manager) cancelLocked(t *Task, cause error) {
	if t.place == nowhere {
		return
	}
	if t.cancelled == 0 {
		t.cancelled = max(time.Since(t.created), 1)
		m.watchLocked(overdueAfter)
	}
	if t.place == queued {
		m.dequeueLocked(t, cause)
	}
}

// giveUp ends the context of a task whose chain has returned before its Func.
func (m *Manager) giveUp(t *Task) {
	m.mu.Lock()
	m.cancelLocked(t, context.Canceled)
	m.mu.Unlock()
	t.ctx.end()
}

// cancelContexts is not to be called under a lock: a context's end calls functions that are not ours.
func cancelContexts(tasks []*Task, cause error) {
	for _, t := range tasks {
		t.cancel(cause)
	}
}
