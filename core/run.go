package core

import (
	"context"
	"fmt"
	"time"
)

// spawn calls the Spawns, and starts the task as soon as it has a slot. However they end, the task
// is started, since its slot is taken and the chain has to end what earlier Spawns began.
func (sh *shard) spawn(t *Task) {
	defer sh.launch(t)
	if len(sh.middleware) > 0 {
		sh.callSpawns(t)
	}
	sh.logCreated(t)
}

func (sh *shard) callSpawns(t *Task) {
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
	for i, mw := range sh.middleware {
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
func (sh *shard) launch(t *Task) {
	sh.mu.Lock()
	t.spawned = true
	sh.launchLocked(t)
	sh.unlock()
}

// launchLocked makes t ready if both have come: the end of its Spawns, and a slot or a cancel.
func (sh *shard) launchLocked(t *Task) {
	if t.spawned && (t.place == holdsSlot || t.place == dequeued) {
		sh.workers.ready.push(t)
	}
}

// run is the whole of a task, on the goroutine of a worker, and returns what that is to run next. That end is given t by its
// address keeps t readable in a traceback of run, by which goroutineStacks finds the goroutine of a task.
func (sh *shard) run(t *Task) (next *Task) {
	r := result{err: ErrGoexit, outcome: Failed} // stand if the chain does not return
	defer sh.end(&t, &r, &next)
	t.takeLabels()
	t.start()
	r.err = sh.chain(t.context(), t)
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
func (sh *shard) end(running **Task, r *result, next **Task) {
	t := *running
	defer func() { *next = sh.finish(t, r) }() // what conclude calls may end the goroutine
	sh.conclude(t, r)
	r.goesOn = r.returned && !plain
}

// conclude decides the outcome and says so. Methods of the error and log handlers are the user's.
func (sh *shard) conclude(t *Task, r *result) {
	left := t.closeCalls()
	defer sh.awaitLeft(t, left)
	r.outcome = t.OutcomeOf(r.err)
	sh.logEnd(t, r.outcome, r.err)
}

// awaitLeft waits for the calls of the Func that a middleware left behind, if there are any.
func (sh *shard) awaitLeft(t *Task, left *leftBehind) {
	if left == nil {
		return
	}
	sh.giveUp(t)
	<-left.ended
	sh.logLeftBehind(t, left.err)
}

// finish ends t, and returns what its goroutine is to run next, if there is anything and it goes on.
func (sh *shard) finish(t *Task, r *result) (next *Task) {
	t.context().end()
	sh.mu.Lock()
	sh.releaseLocked(t)
	sh.stats.count(r.outcome)
	t.settle(r.outcome, r.err)
	sh.fillLocked()
	if r.goesOn {
		next = sh.workers.ready.pop()
	}
	sh.wakeIfIdleLocked()
	sh.unlock()
	return next
}

// refuse ends a task that was not accepted.
func (sh *shard) refuse(ctx context.Context, t *Task, err error) {
	t.settle(Rejected, err)
	sh.mu.Lock()
	sh.stats.count(Rejected)
	sh.mu.Unlock()
	if heldBack, say := sh.refusals.next(time.Now()); say {
		sh.logRefused(ctx, t, err, heldBack)
	}
}
