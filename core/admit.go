package core

import (
	"container/list"
	"context"
	"fmt"
	"time"
)

// A waiter is a call of Go that waits for room.
type waiter struct {
	task    *Task
	element *list.Element // nil once it is decided
	decided chan struct{}
	err     error // the decision: nil if the task was accepted
}

// admit makes room for t, or returns why there is none. From its return on the task is
// counted, and everything that waits for tasks waits for this one.
func (m *Manager) admit(ctx context.Context, t *Task) error {
	m.mu.Lock()
	if m.phase == open && m.takeLocked(t) {
		m.mu.Unlock()
		return nil
	}
	m.mu.Unlock()

	// The user's code may be behind all of these, so the lock is not held.
	spawner := m.taskIn(ctx)
	ctxErr, ctxDone := ctx.Err(), ctx.Done()

	m.mu.Lock()
	inside := spawner != nil && spawner.place != nowhere
	switch {
	case m.phase == closed, m.phase == draining && !inside:
		m.mu.Unlock()
		return ErrClosed
	case m.takeLocked(t):
		m.mu.Unlock()
		return nil
	case !m.blocking, inside:
		m.mu.Unlock()
		return ErrFull
	case ctxErr != nil:
		m.mu.Unlock()
		return fullAnd(ctxErr)
	}
	w := &waiter{task: t, decided: make(chan struct{})}
	w.element = m.waiters.PushBack(w)
	m.mu.Unlock()
	select {
	case <-w.decided:
	case <-ctxDone:
		m.giveUpWaiting(ctx, w)
	}
	return w.err
}

// taskIn returns the task of this manager whose context ctx is or is derived from, also by way of
// a task of another manager, or nil.
func (m *Manager) taskIn(ctx context.Context) *Task {
	for {
		t, ok := TaskFromContext(ctx)
		if !ok || t.manager == m {
			return t
		}
		ctx = t.ctx.values
	}
}

// giveUpWaiting ends the wait of w, whose ctx is done. A decision that was made by then stands.
func (m *Manager) giveUpWaiting(ctx context.Context, w *waiter) {
	m.mu.Lock()
	undecided := w.element != nil
	if undecided {
		m.decideLocked(w, ErrFull)
	}
	m.mu.Unlock()
	if undecided {
		w.err = fullAnd(ctx.Err())
	}
}

func (m *Manager) decideLocked(w *waiter, err error) {
	m.waiters.Remove(w.element)
	w.element, w.err = nil, err
	close(w.decided)
}

func fullAnd(ctxErr error) error { return fmt.Errorf("%w: %w", ErrFull, ctxErr) }

// takeLocked gives t a slot or a place in the queue, and counts it, if there is room.
func (m *Manager) takeLocked(t *Task) bool {
	switch {
	case m.hasSlotLocked():
		m.giveSlotLocked(t)
	case m.maxQueued < 0 || m.stats.Queued < m.maxQueued:
		t.place = queued
		m.queue.push(t)
		m.stats.Queued++
	default:
		return false
	}
	m.stats.Created++
	t.id = m.stats.Created
	return true
}

// hasSlotLocked implies that nothing is queued, since every slot that comes free is filled at once.
func (m *Manager) hasSlotLocked() bool {
	return m.maxRunning <= 0 || m.stats.Running < m.maxRunning
}

func (m *Manager) giveSlotLocked(t *Task) {
	t.place = holdsSlot
	m.running.push(t)
	m.stats.Running++
	if t.options.timeout > 0 {
		m.watchLocked(plus(t.options.timeout, overdueAfter))
	}
}

// fillLocked gives the room that came free to who is next.
func (m *Manager) fillLocked() {
	for m.queue.first != nil && m.hasSlotLocked() {
		t := m.queue.first
		m.queue.remove(t)
		m.stats.Queued--
		m.giveSlotLocked(t)
		m.launchLocked(t)
	}
	for m.waiters.Len() > 0 {
		w := m.waiters.Front().Value.(*waiter)
		w.task.created = time.Now()
		if !m.takeLocked(w.task) {
			return
		}
		m.decideLocked(w, nil)
	}
}

// dequeueLocked ends the wait of a queued task that was cancelled: it passes the chain now,
// without a slot, and its Func is not called. Until it ends it keeps its place in the
// count, so that a chain that blocks cannot pile up goroutines beyond the limit of the queue.
func (m *Manager) dequeueLocked(t *Task, cause error) {
	m.queue.remove(t)
	t.place = dequeued
	m.running.push(t)
	t.skipFor(cause)
	m.launchLocked(t)
}

// releaseLocked takes a task that has ended out of its place.
func (m *Manager) releaseLocked(t *Task) {
	m.running.remove(t)
	if t.place == holdsSlot {
		m.stats.Running--
	} else {
		m.stats.Queued--
	}
	t.place = nowhere
}
