package core

import (
	"context"
	"time"
)

// CancelAll cancels what runs and waits now, with [ErrCancelled] as the cause, and does not
// wait for it. New tasks are still taken.
func (m *Manager) CancelAll() {
	m.lockAll()
	tasks := m.cancelAllLocked(ErrCancelled)
	m.unlockAll()
	cancelContexts(tasks, ErrCancelled)
}

// cancelAllLocked takes down that all tasks are cancelled, and returns those whose contexts are to be. All in one
// go, lest a queued one starts in the slot of one that has just been cancelled.
func (m *Manager) cancelAllLocked(cause error) []*Task {
	tasks := m.tasksLocked()
	for _, t := range tasks {
		t.shard.cancelLocked(t, cause)
	}
	return tasks
}

// cancelLocked takes down that t is cancelled, if it has been accepted and has not ended. A queued one is
// taken out of the queue.
func (sh *shard) cancelLocked(t *Task, cause error) {
	if t.place == nowhere {
		return
	}
	if t.markCancelled() {
		sh.watchLocked(overdueAfter)
	}
	if t.place == queued {
		sh.dequeueLocked(t, cause)
	}
}

// markCancelled takes down when t was cancelled, and reports whether this was the first time.
func (t *Task) markCancelled() (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.more().cancelled != 0 {
		return false
	}
	t.extras().cancelled = max(time.Since(t.created), 1)
	return true
}

// giveUp ends the context of a task whose chain has returned before its Func.
func (sh *shard) giveUp(t *Task) {
	sh.mu.Lock()
	sh.cancelLocked(t, context.Canceled)
	sh.unlock()
	t.context().end()
}

// cancelContexts is not to be called under a lock: a context's end calls functions that are not ours.
func cancelContexts(tasks []*Task, cause error) {
	for _, t := range tasks {
		t.cancel(cause)
	}
}
