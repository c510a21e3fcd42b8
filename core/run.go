package core

import (
	"context"
	"fmt"
	"runtime/pprof"
	"time"
)

// A run holds what a task needs until it ends. It is also the task's context.
//
// The fields before innermost are constant once the run has begun, except for the atomic std. They
// are read without a lock, on any goroutine.
type run struct {
	runContext
	task     *Task
	fn       Func
	admitted chan struct{} // for a Go that waits for room: closed when it is accepted, or refused by a shutdown
	spawner  *spawner      // of an attached task

	// Guarded by task.mu.
	innermost context.Context // of the Handler that was called last
	skip      error           // returned instead of calling fn
	begun     bool            // start was called
	calls     calls
}

// calls records the calls of a Func: one, unless a middleware retries it or does not call it.
// task.mu guards it.
type calls struct {
	running  int32
	called   bool
	closed   bool // the chain has returned: no further call is allowed
	returned bool // a call returned before the chain did; err and cause belong to the last such call
	err      error
	cause    error // of the context, when that call returned
	outlived *outlived
}

// outlived records calls that were still running when the chain returned: a middleware did not wait
// for them.
type outlived struct {
	ended chan struct{} // closed when the last of them returns
	err   error         // their errors, joined; read it after ended is closed
}

// Value implements context.Context.
func (r *run) Value(key any) any {
	if key == (runKey{}) {
		return r
	}
	return r.runContext.Value(key)
}

// String keeps fmt from reading fields that another goroutine may write.
func (r *run) String() string { return fmt.Sprintf("core.Task(%v)", r.task) }

// runTask runs t to its end on a worker's goroutine. It returns the next task for that goroutine,
// or nil.
//
// endTask gets the address of t, so that t is in memory and a traceback shows it; see taskFrame.
func (m *Manager) runTask(t *Task) (next *Task) {
	end := ending{err: ErrGoexit, outcome: Failed} // kept if the chain does not return
	defer m.endTask(&t, &end, &next)
	r := t.start()
	r.setLabels()
	end.err = m.chain(r, t)
	end.returned = true
	return next // set by endTask
}

// start begins the run. The timeout counts from here.
func (t *Task) start() *run {
	gone := t.run.spawner.goneCause()
	t.mu.Lock()
	r := t.run
	if gone != nil {
		if t.cause == nil { // the AfterFunc has not run yet
			t.cause, t.byContext = gone, true
		}
		t.skip(t.cause)
	}
	early := t.cause
	r.begun = true
	if now := time.Now(); t.skipped {
		t.cancelledAt = now // it becomes overdue five seconds after its chain begins, not after the cancel
	} else {
		t.started = now
		if t.options.timeout > 0 {
			r.deadline = now.Add(t.options.timeout)
		}
	}
	t.mu.Unlock()
	switch {
	case early != nil:
		r.endEarly(early)
	case r.cancellable:
		r.standard()
	}
	return r
}

// setLabels gives the goroutine the pprof labels of the run's context. Until then it has the labels
// of its creator or of its previous task.
func (r *run) setLabels() {
	defer func() {
		if recover() != nil { // user code
			pprof.SetGoroutineLabels(context.Background())
		}
	}()
	pprof.SetGoroutineLabels(r)
}

// endTask decides the outcome of the running task and removes it from the manager. It must not be
// inlined: a traceback would not show the task then.
//
//go:noinline
func (m *Manager) endTask(running **Task, end *ending, next **Task) {
	t := *running
	goesOn := false
	// Deferred, because a log handler or a hook may call runtime.Goexit.
	defer func() { *next = m.finish(t, end, goesOn) }()
	m.decide(t, end)
	goesOn = end.returned
}

// decide decides the outcome and logs it. Then it calls the Ended hooks, even if a log handler calls
// runtime.Goexit.
func (m *Manager) decide(t *Task, end *ending) {
	defer func() {
		t.settle(end.outcome, end.err, end.cause)
		m.callHooks(end.ctx, "Ended", m.endeds, t)
	}()
	seen, ctx := t.closeCalls()
	end.ctx = ctx
	defer m.awaitOutlived(t, seen.calls.outlived)
	if end.returned {
		end.outcome, end.cause = t.judge(seen, end.err)
	}
	m.logEnd(t, end)
}

// finish removes t from the manager. If the goroutine goes on, it returns the next task for it, or
// nil.
func (m *Manager) finish(t *Task, end *ending, goesOn bool) (next *Task) {
	t.run.end()
	t.run.spawner.leave()
	t.failGroup(end.err) // before another task of the group gets the slot
	m.mu.Lock()
	m.counted.count(end.outcome)
	if t.handedOver && end.cause == ErrShutdown && !t.isByContext(end.cause) {
		m.shutdown.handedOver++
	}
	m.forgetOverdue(t)
	if goesOn {
		m.workers.starting++ // this goroutine takes one of the tasks that become ready now
	}
	m.advance(m.sched.End(&t.item))
	t.close()
	if goesOn {
		next = m.workers.arrive()
	}
	m.wakeIfIdle()
	m.mu.Unlock()
	t.leaveGroup()
	return next
}

// runKey is the key of the run that a context belongs to.
type runKey struct{}

func runFrom(ctx context.Context) (r *run) {
	defer contain() // user code
	r, _ = ctx.Value(runKey{}).(*run)
	return r
}

// TaskFromContext returns the task that ctx belongs to. Outside a task ok is false.
func TaskFromContext(ctx context.Context) (t *Task, ok bool) {
	if r := runFrom(ctx); r != nil {
		return r.task, true
	}
	return nil, false
}
