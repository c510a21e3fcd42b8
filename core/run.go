package core

import (
	"context"
	"fmt"
	"runtime/pprof"
	"time"
)

// spawn calls the Spawns, and starts the task as soon as it has a slot. However they end, the task
// is started, since its slot is taken and the chain has to end what earlier Spawns began.
func (m *Manager) spawn(ctx context.Context, t *Task) {
	t.ctx.values = detach(ctx)
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
		ctx := mw.Spawn(t.ctx.values, t)
		if ctx == nil {
			panic(fmt.Sprintf("core: Spawn of middleware %d (%T) returned a nil context", i, mw))
		}
		t.ctx.linked = probe(ctx)
		t.ctx.values = ctx
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

// launch starts a task whose Spawns have returned.
func (m *Manager) launch(t *Task) {
	if m.maxRunning <= 0 && t.options.turn == nil { // it has had its slot from the beginning
		go m.run(t)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t.spawned = true
	m.launchLocked(t, false)
}

// launchLocked starts t if both have come: the end of its Spawns, and a slot or a cancel. byAnother is whether it is not
// called by the goroutine that called Go.
func (m *Manager) launchLocked(t *Task, byAnother bool) {
	switch {
	case !t.spawned, t.place != holdsSlot && t.place != dequeued:
	case byAnother:
		go m.runQueued(t)
	default:
		go m.run(t)
	}
}

// runQueued is run for a task that was started by the end of another. A goroutine has the pprof labels of the one that started
// it, and those are another task's here: it gets those of its own context, as after pprof.Do.
func (m *Manager) runQueued(t *Task) {
	t.takeLabels()
	m.run(t)
}

func (t *Task) takeLabels() {
	defer contain() // the context may be the user's
	pprof.SetGoroutineLabels(&t.ctx)
}

// run is the goroutine of a task. That end is given t by its address keeps t readable in a
// traceback of run, by which goroutineStacks finds the goroutine of a task.
func (m *Manager) run(t *Task) {
	err := ErrGoexit // stands if the chain does not return
	defer m.end(&t, &err)
	t.start()
	err = m.chain(&t.ctx, t)
}

//go:noinline
func (m *Manager) end(running **Task, chainErr *error) {
	t, err, outcome := *running, *chainErr, Failed
	left := t.closeCalls()
	// Deferred, since a method of err, or a log handler, may end the goroutine.
	defer func() { m.finish(t, outcome, err) }()
	defer func() { m.awaitLeft(t, left) }()
	outcome = t.OutcomeOf(err)
	m.logEnd(t, outcome, err)
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

func (m *Manager) finish(t *Task, outcome Outcome, err error) {
	t.ctx.end()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.releaseLocked(t)
	m.stats.count(outcome)
	t.settle(outcome, err)
	m.fillLocked()
	m.wakeIfIdleLocked()
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
