package core

import (
	"context"
	"fmt"
	"time"
)

// spawn calls the Spawns, and starts the task as soon as it has a slot. However they end, the task
// is started, since its slot is taken and the chain has to end what earlier Spawns began.
func (m *Manager) spawn(t *Task) {
	defer m.launch(t)
	if len(m.middleware) > 0 {
		m.callSpawns(t)
	}
	m.logCreated(t)
}

func (m *Manager) callSpawns(t *Task) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			t.failSpawn(recovered(v))
		} else {
			t.failSpawn(ErrGoexit)
		}
	}()
	for i, mw := range m.middleware {
		ctx := mw.Spawn(t.values, t)
		if ctx == nil {
			panic(fmt.Sprintf("core: Spawn of middleware %d (%T) returned a nil context", i, mw))
		}
		t.linked = probe(ctx)
		t.values = ctx
	}
	returned = true
}

// probe reports whether ctx, of a Spawn's making, can be cancelled. It asks such a context all that a child of it
// would, since one that panics does no harm here.
func probe(ctx context.Context) (linked bool) {
	ctx.Deadline()
	if ctx.Done() == nil {
		return false
	}
	_, cancel := context.WithCancel(ctx)
	cancel()
	return true
}

// launch makes a task ready whose Spawns have returned.
func (m *Manager) launch(t *Task) {
	m.mu.Lock()
	t.spawned = true
	m.launchLocked(t)
	m.unlock()
}

// launchLocked makes t ready if both have come: the end of its Spawns, and a slot or a cancel.
func (m *Manager) launchLocked(t *Task) {
	if t.spawned && (t.place == holdsSlot || t.place == dequeued) {
		m.workers.ready.push(t)
	}
}

// run is the whole of a task, on the goroutine of a worker, and returns what that is to run next. That end is given t by its
// address keeps t readable in a traceback of run, by which goroutineStacks finds the goroutine of a task.
func (m *Manager) run(t *Task) (next *Task) {
	r := result{err: ErrGoexit, outcome: Failed} // stand if the chain does not return
	defer m.end(&t, &r, &next)
	t.takeLabels()
	t.start()
	r.err = m.chain(t.context(), t)
	r.returned = true
	return next
}

// result is what a run came to.
type result struct {
	err      error
	outcome  Outcome
	returned bool // the chain has: if not, runtime.Goexit is ending the goroutine
	goesOn   bool // the goroutine does
}

//go:noinline
func (m *Manager) end(running **Task, r *result, next **Task) {
	t := *running
	defer func() { *next = m.finish(t, r) }() // what conclude calls may end the goroutine
	m.conclude(t, r)
	r.goesOn = r.returned && !plain
}

// conclude decides the outcome and says so. Methods of the error and log handlers are the user's.
func (m *Manager) conclude(t *Task, r *result) {
	left := t.closeCalls()
	defer m.awaitLeft(t, left)
	r.outcome = t.OutcomeOf(r.err)
	m.logEnd(t, r.outcome, r.err)
}

// awaitLeft waits for the calls of the Func that a middleware left behind, if there are any.
func (m *Manager) awaitLeft(t *Task, left *leftBehind) {
	if left == nil {
		return
	}
	m.giveUp(t)
	<-left.ended
	m.logLeftBehind(t, left.err)
}

// finish ends t, and returns what its goroutine is to run next, if there is anything and it goes on.
func (m *Manager) finish(t *Task, r *result) (next *Task) {
	t.context().end()
	m.mu.Lock()
	m.releaseLocked(t)
	m.stats.count(r.outcome)
	t.settle(r.outcome, r.err)
	m.fillLocked()
	if r.goesOn {
		next = m.workers.ready.pop()
	}
	m.wakeIfIdleLocked()
	m.unlock()
	return next
}

// refuse ends a task that was not accepted.
func (m *Manager) refuse(ctx context.Context, t *Task, err error) {
	t.settle(Rejected, err)
	m.mu.Lock()
	m.stats.count(Rejected)
	heldBack, say := m.refusals.next(time.Now())
	m.mu.Unlock()
	if say {
		m.logRefused(ctx, t, err, heldBack)
	}
}
