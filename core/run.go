package core

import (
	"context"
	"fmt"
	"runtime/pprof"
	"time"
)

// A run is what a task needs until it ends. It is the context of the run.
type run struct {
	runContext
	task     *Task
	fn       Func
	admitted chan struct{} // closed when a waiting call of Go is decided; nil: it did not wait
	spawner  *spawner      // of an attached task

	// Guarded by task.mu.
	innermost context.Context // what fn was called with
	skip      error           // what the chain gets in place of a call of fn
	begun     bool
	calls     calls
}

// calls is what a run knows of the calls of its Func. There is one call, unless a middleware
// retries or refuses. task.mu guards it.
type calls struct {
	running   int32
	called    bool
	closed    bool // the chain has returned: no further call is allowed
	returned  bool // a call has returned before that; err and cause are those of the last
	err       error
	cause     error // what had cancelled the context when the call returned
	abandoned *abandoned
}

// abandoned are the calls that were still running when the chain returned: a middleware did not
// wait for them.
type abandoned struct {
	ended chan struct{} // closed by the last of them
	err   error         // what they returned; read it after that
}

// Value implements context.Context.
func (r *run) Value(key any) any {
	if key == (runKey{}) {
		return r
	}
	return r.runContext.Value(key)
}

// String keeps package fmt from reading the fields while they change.
func (r *run) String() string { return fmt.Sprintf("core.Task(%v)", r.task) }

// runTask is the whole of a task on the goroutine of a worker. It returns the task that the
// goroutine is to run next, if there is one.
//
// Passing &t to endTask keeps t visible in tracebacks; see goroutineStacks.
func (m *Manager) runTask(t *Task) (next *Task) {
	end := ending{err: ErrGoexit, outcome: Failed} // stand if the chain does not return
	defer m.endTask(&t, &end, &next)
	r := t.start()
	r.setLabels()
	end.err = m.chain(r, t)
	end.returned = true
	return next
}

// start begins the run. The timeout counts from here.
func (t *Task) start() *run {
	gone := t.run.goneCause()
	t.mu.Lock()
	r := t.run
	if gone != nil {
		t.skipFor(gone)
	}
	r.early = t.cause
	r.begun = true
	if !t.dequeued {
		t.started = time.Now()
		if t.options.timeout > 0 {
			r.deadline = t.started.Add(t.options.timeout)
		}
	}
	t.mu.Unlock()
	if r.early != nil || r.linked {
		r.standard()
	}
	return r
}

// goneCause returns the cause of the context of an attached task, if that is done.
func (r *run) goneCause() (cause error) {
	if r.spawner == nil {
		return nil
	}
	defer contain() // the context is the user's
	return context.Cause(r.spawner.ctx)
}

// skipFor makes t, whose context given to Go is done before the start, skip its Func. t.mu is held.
func (t *Task) skipFor(gone error) {
	if t.cause == nil { // the AfterFunc is on its way
		t.cause, t.cancelledAt, t.byContext = gone, time.Now(), true
	}
	t.dequeued = true
	if t.run.skip == nil {
		t.run.skip = t.cause
	}
}

// setLabels gives the goroutine the pprof labels of the run's context. It had those of the
// goroutine that started it, or of the task before.
func (r *run) setLabels() {
	defer func() {
		if recover() != nil { // the context is the user's
			pprof.SetGoroutineLabels(context.Background())
		}
	}()
	pprof.SetGoroutineLabels(r)
}

//go:noinline
func (m *Manager) endTask(running **Task, end *ending, next **Task) {
	t := *running
	defer func() { *next = m.finish(t, end) }() // what comes before may end the goroutine
	m.decide(t, end)
	end.goesOn = end.returned
}

// decide decides the outcome and makes it known, whatever a log handler does.
func (m *Manager) decide(t *Task, end *ending) {
	defer m.callEnded(t, end)
	m.conclude(t, end)
}

// conclude decides the outcome and logs it. Methods of the error and log handlers are the user's.
func (m *Manager) conclude(t *Task, end *ending) {
	seen, ctx := t.closeCalls()
	end.ctx = ctx
	defer m.awaitAbandoned(t, seen.calls.abandoned)
	outcome, cause := t.judge(seen, end.err)
	if end.returned {
		end.outcome, end.cause = outcome, cause
	}
	m.logEnd(t, end)
}

// callEnded makes the outcome known to the Ended hooks, and calls them.
func (m *Manager) callEnded(t *Task, end *ending) {
	if len(m.endeds) > 0 {
		t.settle(end.outcome, end.err, end.cause)
		m.call(end.ctx, "Ended", m.endeds, t)
	}
}

// finish takes t out, and returns the task that its goroutine is to run next, if the goroutine goes
// on and there is one.
func (m *Manager) finish(t *Task, end *ending) (next *Task) {
	t.run.end()
	if t.run.spawner != nil {
		t.run.spawner.detach()
	}
	if g := t.options.group; g != nil && end.err != nil {
		g.cancel(end.err) // before another of its tasks gets the slot
	}
	m.mu.Lock()
	m.counted.count(end.outcome)
	m.unwatch(t)
	m.advance(m.sched.End(&t.item))
	t.close(end.outcome, end.err, end.cause)
	if end.goesOn {
		next = m.workers.take()
	}
	m.wakeIfIdle()
	m.mu.Unlock()
	t.leaveGroup()
	return next
}

// runKey is the key of the run that a context belongs to.
type runKey struct{}

func runFrom(ctx context.Context) *run {
	r, _ := ctx.Value(runKey{}).(*run)
	return r
}

// TaskFromContext returns the task whose context ctx is, or is derived from. Outside a task ok is
// false.
func TaskFromContext(ctx context.Context) (t *Task, ok bool) {
	if r := runFrom(ctx); r != nil {
		return r.task, true
	}
	return nil, false
}
