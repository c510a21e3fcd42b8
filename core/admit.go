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
func (sh *shard) admit(ctx context.Context, t *Task) error {
	sh.mu.Lock()
	if sh.phase == open && sh.takeLocked(t) {
		sh.unlock()
		return nil
	}
	sh.mu.Unlock()

	// The user's code may be behind all of these, so the lock is not held.
	spawner := sh.taskIn(ctx)
	ctxErr, ctxDone := ctx.Err(), ctx.Done()

	sh.lockAll() // since the spawner may be in another shard
	inside := spawner != nil && spawner.place != nowhere
	if sh.phase == closed || sh.phase == draining && !inside {
		sh.unlockAll()
		return ErrClosed
	}
	if sh.takeLocked(t) {
		sh.unlockAll()
		return nil
	}
	full := sh.fullLocked(t)
	switch {
	case !sh.waitsForRoom(t), inside:
		sh.unlockAll()
		return full
	case ctxErr != nil:
		sh.unlockAll()
		return fullAnd(full, ctxErr)
	}
	w := &waiter{task: t, decided: make(chan struct{})}
	w.element = sh.waiters.PushBack(w)
	sh.unlockAll()
	select {
	case <-w.decided:
	case <-ctxDone:
		sh.giveUpWaiting(ctx, w, full)
	}
	return w.err
}

func (sh *shard) waitsForRoom(t *Task) bool {
	return sh.blocking || t.options.turn != nil && t.options.turn.serial.Blocking
}

// taskIn returns the task of this manager whose context ctx is or is derived from, also by way of
// a task of another manager, or nil.
func (sh *shard) taskIn(ctx context.Context) *Task {
	for {
		t, ok := TaskFromContext(ctx)
		if !ok || t.shard != nil && t.shard.Manager == sh.Manager {
			return t
		}
		ctx = t.values
	}
}

// giveUpWaiting ends the wait of w, whose ctx is done. A decision that was made by then stands.
func (sh *shard) giveUpWaiting(ctx context.Context, w *waiter, full error) {
	sh.mu.Lock()
	undecided := w.element != nil
	if undecided {
		sh.decideLocked(w, full)
	}
	sh.mu.Unlock()
	if undecided {
		w.err = fullAnd(full, ctx.Err())
	}
}

func (sh *shard) decideLocked(w *waiter, err error) {
	sh.waiters.Remove(w.element)
	w.element, w.err = nil, err
	close(w.decided)
}

func fullAnd(full, ctxErr error) error { return fmt.Errorf("%w: %w", full, ctxErr) }

// takeLocked gives t a slot or a place in the queue, and counts it, if there is room.
func (sh *shard) takeLocked(t *Task) bool {
	if !sh.hasRoomLocked(t) {
		return false
	}
	sh.stats.Created++
	t.id = sh.lastID.Add(1)
	itsTurn := sh.joinLineLocked(t)
	if itsTurn && sh.hasSlotLocked() {
		sh.giveSlotLocked(t)
		return true
	}
	t.place = queued
	sh.stats.Queued++
	if itsTurn {
		sh.queue.push(t)
	}
	return true
}

func (sh *shard) hasRoomLocked(t *Task) bool {
	if _, full := sh.fullSerialLocked(t); full {
		return false
	}
	return sh.isNextLocked(t) && sh.hasSlotLocked() || sh.hasPlaceLocked()
}

// hasPlaceLocked reports whether one more may wait. Without a limit that can only be for its turn, which a Serial bounds.
func (sh *shard) hasPlaceLocked() bool {
	return sh.maxRunning <= 0 || sh.maxQueued < 0 || sh.stats.Queued < sh.maxQueued
}

// fullLocked returns the error of a task that there was no room for.
func (sh *shard) fullLocked(t *Task) error {
	if serial, full := sh.fullSerialLocked(t); full {
		return &serial
	}
	return ErrFull
}

// hasSlotLocked implies that nothing waits for a slot, since every slot that comes free is filled at once.
func (sh *shard) hasSlotLocked() bool {
	return sh.maxRunning <= 0 || sh.stats.Running < sh.maxRunning
}

func (sh *shard) giveSlotLocked(t *Task) {
	t.place = holdsSlot
	sh.running.push(t)
	sh.stats.Running++
	if t.options.timeout > 0 {
		sh.watchLocked(plus(t.options.timeout, overdueAfter))
	}
	sh.launchLocked(t)
}

// fillLocked gives the room that came free to who is next.
func (sh *shard) fillLocked() {
	for sh.queue.first != nil && sh.hasSlotLocked() {
		t := sh.queue.first
		sh.queue.remove(t)
		sh.stats.Queued--
		sh.giveSlotLocked(t)
	}
	for e := sh.waiters.Front(); e != nil; {
		w := e.Value.(*waiter)
		e = e.Next()
		switch {
		case sh.takeLocked(w.task):
			w.task.created = time.Now()
			sh.decideLocked(w, nil)
			if !sh.limitHasRoomLocked() {
				return
			}
		case w.task.options.turn == nil:
			return // what it has no room in is the manager, and so has nobody behind it
		}
	}
}

// limitHasRoomLocked reports whether the end of a task, which made room for one, may have made room for two: one in its Serial,
// or with the limit, and one in the queue, which had been full. Looking on is dear where thousands wait for one key.
func (sh *shard) limitHasRoomLocked() bool {
	return sh.maxRunning > 0 && sh.maxQueued >= 0 && (sh.hasSlotLocked() || sh.stats.Queued < sh.maxQueued)
}

// maxSkipping is how many tasks that were cancelled in the queue pass the chain at a time. A shutdown may cancel a hundred
// thousand at once: with a goroutine for each, the scheduler would have no time left for what has a deadline.
const maxSkipping = 1000

// dequeueLocked ends the wait of a queued task that was cancelled: it passes the chain now, or when fewer do,
// without a slot, and its Func is not called. Until it ends it keeps its place in the
// count, so that a chain that blocks cannot pile up goroutines beyond the limit of the queue.
func (sh *shard) dequeueLocked(t *Task, cause error) {
	sh.leaveQueueLocked(t)
	t.place = skipped
	t.skipFor(cause)
	sh.skipped.push(t)
	sh.skipLocked()
}

// skipLocked starts those of the dequeued that may start now.
func (sh *shard) skipLocked() {
	for sh.skipped.first != nil && sh.skipping < maxSkipping {
		t := sh.skipped.first
		sh.skipped.remove(t)
		sh.running.push(t)
		t.place = dequeued
		sh.skipping++
		sh.launchLocked(t)
	}
}

// releaseLocked takes a task that has ended out of its place.
func (sh *shard) releaseLocked(t *Task) {
	sh.running.remove(t)
	if t.place == holdsSlot {
		sh.stats.Running--
	} else {
		sh.stats.Queued--
		sh.skipping--
		sh.skipLocked()
	}
	t.place = nowhere
	sh.leaveLineLocked(t)
}
