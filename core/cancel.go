package core

import (
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// A canceller is who cancels a task.
type canceller bool

const (
	byManager canceller = false // Cancel, CancelAll or a shutdown
	byContext canceller = true  // the context given to Go
)

// Cancel cancels the task's context with [ErrCancelled] as its cause, and does not wait. The Func
// of a queued task is not called. A task that has its slot but has not begun still calls its Func,
// with a cancelled context. Cancel does nothing if the task has ended or was cancelled before.
func (t *Task) Cancel() {
	if t.manager == nil {
		t.markCancelled(ErrCancelled, byManager, time.Now())
		t.cancelContext()
		return
	}
	t.cancel(ErrCancelled, byManager)
}

func (t *Task) cancel(cause error, by canceller) {
	m := t.manager
	m.mu.Lock()
	m.cancelTask(t, cause, by)
	m.mu.Unlock()
	t.cancelContext()
}

// CancelAll cancels all running and queued tasks with [ErrCancelled] as the cause, and does not
// wait for them. The manager still accepts tasks.
func (m *Manager) CancelAll() {
	// All are marked in one critical section, so no queued task starts in the slot of a task that
	// was just cancelled.
	m.mu.Lock()
	tasks := m.unfinished()
	for _, t := range tasks {
		m.cancelTask(t, ErrCancelled, byManager)
	}
	m.mu.Unlock()
	for _, t := range tasks {
		t.cancelContext()
	}
}

// cancelTask marks t as cancelled, if it is accepted and unfinished, and takes it out of the queue.
// It reports whether this is the first cancel. m.mu is held.
func (m *Manager) cancelTask(t *Task, cause error, by canceller) (first bool) {
	state := t.item.State()
	if state == sched.Out || state == sched.Waiting {
		return false
	}
	now := time.Now()
	first = t.markCancelled(cause, by, now)
	m.lookAt(now.Add(overdueAfter)) // if a timeout makes it overdue sooner, watchTimeout has set the timer
	if state == sched.Queued {
		t.mu.Lock()
		t.skip(cause)
		t.mu.Unlock()
		m.advance(m.sched.Cancel(&t.item))
	}
	return first
}

// markCancelled records the first cancel, and reports whether this is it. If the timeout has
// passed by then, it records the timeout instead.
func (t *Task) markCancelled(cause error, by canceller, now time.Time) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause != nil {
		return false
	}
	t.cause, t.cancelledAt, t.byContext = cause, now, by == byContext
	if t.isPast(now) {
		t.cause, t.cancelledAt, t.byContext = ErrTimeout, t.started.Add(t.options.timeout), false
	}
	return true
}

// skip makes t skip its Func because it was cancelled before its run began. t.mu is held.
func (t *Task) skip(cause error) {
	t.skipped = true
	if t.run.skip == nil { // no Spawn failed
		t.run.skip = cause
	}
}

// isByContext reports whether t was cancelled, with cause, by the end of the context given to Go.
// The cause alone does not tell: that context may belong to another task, which ended with
// ErrTimeout.
func (t *Task) isByContext(cause error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byContext && (cause != ErrTimeout || t.cause == ErrTimeout)
}

// causeWord returns cause as a word for log lines. nil is a timeout.
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

// cancelContext cancels the context of t, if t is marked as cancelled and has started. A task that
// has not started finds its cause when it does. It may run user code, so no lock may be held.
func (t *Task) cancelContext() {
	t.mu.Lock()
	r, cause := t.run, t.cause
	runs := r != nil && cause != nil && !t.started.IsZero()
	t.mu.Unlock()
	if runs {
		r.standard().cancel(cause)
	}
}
