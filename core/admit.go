package core

import (
	"context"
	"fmt"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// admit asks the scheduler to accept t, and may wait for room. It returns nil, or why t is refused.
// Wait and Shutdown wait for a task from its acceptance on.
func (m *Manager) admit(ctx context.Context, t *Task) error {
	if m.add(t, nil, false).Accepts() {
		return nil
	}
	// The first try took the caller for a stranger who does not wait. During a drain a running task
	// may start others, and a stranger may wait for room, so try again. ctx may be user code: ask
	// it without m.mu.
	own, caller := m.callersOf(ctx)
	ctxErr := ctx.Err()
	mayWait := (m.blocking || t.options.blocking) && !own
	waits := mayWait && ctxErr == nil
	admitted := make(chan struct{})
	if waits {
		t.run.admitted = admitted
	}
	switch verdict := m.add(t, caller, waits); {
	case verdict.Accepts():
		return nil
	case verdict == sched.Wait:
		return m.awaitRoom(ctx, t, admitted)
	case verdict == sched.Closed:
		return ErrClosed
	case mayWait:
		return fmt.Errorf("%w: %w", t.fullError(verdict), ctxErr)
	default:
		return t.fullError(verdict)
	}
}

// add offers t to the scheduler, and registers t if it is accepted. caller is the task that calls
// Go, or nil. During a drain a task that is UntilShutdown is cancelled at once.
func (m *Manager) add(t, caller *Task, waits bool) sched.Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	inside := caller != nil && caller.item.State() != sched.Out || t.options.group.isBusy()
	verdict := m.sched.Add(&t.item, sched.Caller{Inside: inside, Waits: waits})
	if verdict.Accepts() {
		m.register(t)
	}
	if t.options.untilShutdown && m.sched.Draining() {
		m.cancelTask(t, ErrShutdown, byManager)
	}
	return verdict
}

// register gives the accepted task t its id, counts it, and starts it if it is ready. m.mu is held.
func (m *Manager) register(t *Task) {
	m.counted.Created++
	m.lastID++
	t.id = m.lastID
	t.joinGroup()
	m.startIfReady(t)
}

// advance starts the tasks whose items have changed. Those of waiting callers have no id yet: they
// are registered first. m.mu is held.
func (m *Manager) advance(changed []*sched.Item[*Task]) {
	for _, item := range changed {
		t := item.Owner
		if t.id == 0 {
			t.created = time.Now()
			m.register(t)
			close(t.run.admitted)
			continue
		}
		m.startIfReady(t)
	}
}

// startIfReady hands t to a worker, if it is prepared and the scheduler lets it run: with a slot
// or, cancelled in the queue, without. m.mu is held.
func (m *Manager) startIfReady(t *Task) {
	state := t.item.State()
	if t.ready && (state == sched.Running || state == sched.Skipping) {
		m.workers.add(t)
	}
}

// awaitRoom waits until t is accepted, a shutdown refuses it, or ctx is done. If t was accepted or
// refused before ctx was done, that counts. An accepted t may have ended when awaitRoom returns.
func (m *Manager) awaitRoom(ctx context.Context, t *Task, admitted <-chan struct{}) error {
	select {
	case <-admitted:
	case <-ctx.Done():
		if full := m.giveUp(t); full != nil {
			return fmt.Errorf("%w: %w", full, ctx.Err())
		}
		<-admitted
	}
	if t.id == 0 {
		return ErrClosed
	}
	return nil
}

// giveUp ends the wait of t for room, and returns why there was none. It returns nil if t does not
// wait any more.
func (m *Manager) giveUp(t *Task) (full error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.sched.GiveUp(&t.item) {
		return nil
	}
	return t.fullError(m.sched.Room(&t.item))
}

// callersOf goes through the task of ctx, the task that started that one, and so on. own reports
// whether any of them is a task of m. live is the first task of m that has not ended, or nil.
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
