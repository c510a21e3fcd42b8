package core

import (
	"context"
	"fmt"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// admit makes room for t, or returns why there is none. Once admit has returned nil, everything
// that waits for tasks waits for t.
func (m *Manager) admit(ctx context.Context, t *Task) error {
	if verdict := m.add(t, sched.Caller{}); verdict <= sched.Queue {
		return nil
	}
	// A stranger would be refused. Who the caller is decides what happens now. ctx may be the user's
	// code, so it is asked without the lock.
	own, live := m.callersOf(ctx)
	ctxErr := ctx.Err()
	caller := sched.Caller{Waits: m.waitsForRoom(t) && !own && ctxErr == nil}
	admitted := make(chan struct{})
	if caller.Waits {
		t.run.admitted = admitted
	}
	switch verdict := m.addFor(t, live, caller); {
	case verdict <= sched.Queue:
		return nil
	case verdict == sched.Wait:
		return m.awaitRoom(ctx, t, admitted)
	case verdict == sched.Closed:
		return ErrClosed
	case m.waitsForRoom(t) && !own:
		return fmt.Errorf("%w: %w", t.errFull(verdict), ctxErr)
	default:
		return t.errFull(verdict)
	}
}

func (m *Manager) waitsForRoom(t *Task) bool {
	return m.blocking || t.options.blocking
}

// add asks the scheduler to take t, and registers t if it does.
func (m *Manager) add(t *Task, caller sched.Caller) sched.Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	verdict := m.sched.Add(&t.item, caller)
	if verdict <= sched.Queue {
		m.register(t)
	}
	if t.options.untilShutdown && m.sched.Draining() {
		m.cancelTask(t, ErrShutdown)
	}
	return verdict
}

// addFor is add for a caller that is inside if its task has not ended yet.
func (m *Manager) addFor(t, inside *Task, caller sched.Caller) sched.Verdict {
	caller.Inside = inside != nil && inside.isLive()
	return m.add(t, caller)
}

// register counts t, which was accepted, and starts it if it may start. m.mu is held.
func (m *Manager) register(t *Task) {
	m.counted.Created++
	m.lastID++
	t.id = m.lastID
	m.startIfReady(t)
}

// advance acts on what the scheduler has changed. m.mu is held.
func (m *Manager) advance(changed []*sched.Item[*Task]) {
	for _, it := range changed {
		t := it.Owner
		if admitted := t.run.admitted; admitted != nil && t.id == 0 {
			t.created = time.Now()
			m.register(t)
			close(admitted)
			continue
		}
		m.startIfReady(t)
	}
}

// startIfReady hands t to a goroutine if both have come: the end of its Spawns, and a slot or a
// cancel. m.mu is held.
func (m *Manager) startIfReady(t *Task) {
	state := t.item.State()
	if t.ready && (state == sched.Running || state == sched.Skipping) {
		m.workers.start(t)
	}
}

// awaitRoom waits until t is accepted, a shutdown refuses it, or ctx is done. A decision that was
// made by then stands. An accepted task may have ended by then.
func (m *Manager) awaitRoom(ctx context.Context, t *Task, admitted <-chan struct{}) error {
	select {
	case <-admitted:
	case <-ctx.Done():
		m.mu.Lock()
		full := t.errFull(m.sched.Room(&t.item))
		gaveUp := m.sched.GiveUp(&t.item)
		m.mu.Unlock()
		if gaveUp {
			return fmt.Errorf("%w: %w", full, ctx.Err())
		}
	}
	if <-admitted; t.id == 0 {
		return ErrClosed
	}
	return nil
}

// callersOf looks through the tasks that ctx belongs to: the innermost, the task whose context that
// one was started with, and so on. own reports whether any is a task of m; live is the innermost of
// those that has not ended.
func (m *Manager) callersOf(ctx context.Context) (own bool, live *Task) {
	for r := runFrom(ctx); r != nil; r = runFrom(r.values) {
		if r.task.manager != m {
			continue
		}
		own = true
		if r.task.isLive() {
			return true, r.task
		}
	}
	return own, nil
}
