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
		m.unlock()
		return nil
	}
	m.mu.Unlock()

	// The user's code may be behind all of these, so the lock is not held.
	spawner := m.taskIn(ctx)
	ctxErr, ctxDone := ctx.Err(), ctx.Done()

	m.mu.Lock()
	inside := spawner != nil && spawner.place != nowhere
	if m.phase == closed || m.phase == draining && !inside {
		m.mu.Unlock()
		return ErrClosed
	}
	if m.takeLocked(t) {
		m.unlock()
		return nil
	}
	full := m.fullLocked(t)
	switch {
	case !m.waitsForRoom(t), inside:
		m.mu.Unlock()
		return full
	case ctxErr != nil:
		m.mu.Unlock()
		return fullAnd(full, ctxErr)
	}
	w := &waiter{task: t, decided: make(chan struct{})}
	w.element = m.waiters.PushBack(w)
	m.mu.Unlock()
	select {
	case <-w.decided:
	case <-ctxDone:
		m.giveUpWaiting(ctx, w, full)
	}
	return w.err
}

func (m *Manager) waitsForRoom(t *Task) bool {
	return m.blocking || t.options.turn != nil && t.options.turn.serial.Blocking
}

// taskIn returns the task of this manager whose context ctx is or is derived from, also by way of
// a task of another manager, or nil.
func (m *Manager) taskIn(ctx context.Context) *Task {
	for {
		t, ok := TaskFromContext(ctx)
		if !ok || t.manager == m {
			return t
		}
		ctx = t.values
	}
}

// giveUpWaiting ends the wait of w, whose ctx is done. A decision that was made by then stands.
func (m *Manager) giveUpWaiting(ctx context.Context, w *waiter, full error) {
	m.mu.Lock()
	undecided := w.element != nil
	if undecided {
		m.decideLocked(w, full)
	}
	m.mu.Unlock()
	if undecided {
		w.err = fullAnd(full, ctx.Err())
	}
}

func (m *Manager) decideLocked(w *waiter, err error) {
	m.waiters.Remove(w.element)
	w.element, w.err = nil, err
	close(w.decided)
}

func fullAnd(full, ctxErr error) error { return fmt.Errorf("%w: %w", full, ctxErr) }

// takeLocked gives t a slot or a place in the queue, and counts it, if there is room.
func (m *Manager) takeLocked(t *Task) bool {
	if !m.hasRoomLocked(t) {
		return false
	}
	m.stats.Created++
	t.id = m.stats.Created
	itsTurn := m.joinLineLocked(t)
	if itsTurn && m.hasSlotLocked() {
		m.giveSlotLocked(t)
		return true
	}
	t.place = queued
	m.stats.Queued++
	if itsTurn {
		m.queue.push(t)
	}
	return true
}

func (m *Manager) hasRoomLocked(t *Task) bool {
	if _, full := m.fullSerialLocked(t); full {
		return false
	}
	return m.isNextLocked(t) && m.hasSlotLocked() || m.hasPlaceLocked()
}

// hasPlaceLocked reports whether one more may wait. Without a limit that can only be for its turn, which a Serial bounds.
func (m *Manager) hasPlaceLocked() bool {
	return m.maxRunning <= 0 || m.maxQueued < 0 || m.stats.Queued < m.maxQueued
}

// fullLocked returns the error of a task that there was no room for.
func (m *Manager) fullLocked(t *Task) error {
	if serial, full := m.fullSerialLocked(t); full {
		return &serial
	}
	return ErrFull
}

// hasSlotLocked implies that nothing waits for a slot, since every slot that comes free is filled at once.
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
	m.launchLocked(t)
}

// fillLocked gives the room that came free to who is next.
func (m *Manager) fillLocked() {
	for m.queue.first != nil && m.hasSlotLocked() {
		t := m.queue.first
		m.queue.remove(t)
		m.stats.Queued--
		m.giveSlotLocked(t)
	}
	for e := m.waiters.Front(); e != nil; {
		w := e.Value.(*waiter)
		e = e.Next()
		switch {
		case m.takeLocked(w.task):
			w.task.created = time.Now()
			m.decideLocked(w, nil)
			if !m.limitHasRoomLocked() {
				return
			}
		case w.task.options.turn == nil:
			return // what it has no room in is the manager, and so has nobody behind it
		}
	}
}

// limitHasRoomLocked reports whether the end of a task, which made room for one, may have made room for two: one in its Serial,
// or with the limit, and one in the queue, which had been full. Looking on is dear where thousands wait for one key.
func (m *Manager) limitHasRoomLocked() bool {
	return m.maxRunning > 0 && m.maxQueued >= 0 && (m.hasSlotLocked() || m.stats.Queued < m.maxQueued)
}

// maxSkipping is how many tasks that were cancelled in the queue pass the chain at a time. A shutdown may cancel a hundred
// thousand at once: with a goroutine for each, the scheduler would have no time left for what has a deadline.
const maxSkipping = 1000

// dequeueLocked ends the wait of a queued task that was cancelled: it passes the chain now, or when fewer do,
// without a slot, and its Func is not called. Until it ends it keeps its place in the
// count, so that a chain that blocks cannot pile up goroutines beyond the limit of the queue.
func (m *Manager) dequeueLocked(t *Task, cause error) {
	m.leaveQueueLocked(t)
	t.place = skipped
	t.skipFor(cause)
	m.skipped.push(t)
	m.skipLocked()
}

// skipLocked starts those of the dequeued that may start now.
func (m *Manager) skipLocked() {
	for m.skipped.first != nil && m.skipping < maxSkipping {
		t := m.skipped.first
		m.skipped.remove(t)
		m.running.push(t)
		t.place = dequeued
		m.skipping++
		m.launchLocked(t)
	}
}

// releaseLocked takes a task that has ended out of its place.
func (m *Manager) releaseLocked(t *Task) {
	m.running.remove(t)
	if t.place == holdsSlot {
		m.stats.Running--
	} else {
		m.stats.Queued--
		m.skipping--
		m.skipLocked()
	}
	t.place = nowhere
	m.leaveLineLocked(t)
}
