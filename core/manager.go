package core

import (
	"context"
	"slices"
	"sync"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// The way of a task through the files of this package:
//
//	spawn.go    Go makes the Task and its run, and calls the Spawns
//	admit.go    asks internal/sched for room; refusal.go if there is none
//	worker.go   a goroutine takes the task once it is ready and has a slot
//	run.go      start, chain (middleware.go), end; call.go is the innermost Handler, and
//	            context.go the context that it all runs in
//	outcome.go  judges the error; log.go writes the line
//	run.go      finish tells internal/sched, which may make other tasks ready
//
// Three files act on tasks from outside: cancel.go, overdue.go (tasks that do not stop) and
// shutdown.go, which drains and cancels. account.go lists what a shutdown lost.

// A Manager starts tasks, tracks them and shuts them down. Create one when the program starts, with
// [New], and end it with [Manager.Shutdown]. Its methods are safe for concurrent use.
type Manager struct {
	config
	chain    Handler
	draining chan struct{} // closed when a shutdown begins
	refusals refusals

	// mu guards the fields below, and the fields of a Task that are marked so. No user code runs
	// while it is held. Lock it before Task.mu and Group.mu, never after.
	mu       sync.Mutex
	sched    sched.Scheduler[*Task]
	lastID   uint64
	counted  Stats  // the counters only; Rejected without refused
	refused  uint64 // tasks that the manager itself refused
	workers  workers
	watch    watch
	shutdown shutdown
	helpers  int           // running goroutines other than workers: they log, cancel contexts or call hooks
	idle     chan struct{} // made by the first Wait; closed when nothing is left to wait for
}

// New returns a manager. New starts no goroutine.
func New(opts ...Option) *Manager {
	m := &Manager{config: newConfig(opts), draining: make(chan struct{})}
	m.chain = compose(m.middleware)
	m.workers.init(m)
	m.sched.SetLimit(m.maxRunning, m.maxQueued)
	return m
}

// Task returns the running or queued task with that ID. It looks through all of them under the
// manager's lock. A program that asks often, with very many tasks, keeps the handles instead.
func (m *Manager) Task(id uint64) (t *Task, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t := range m.sched.Unfinished {
		if t.id == id {
			return t, true
		}
	}
	return nil, false
}

// Wait waits until no task is running or queued, and the manager's goroutines that log, cancel
// contexts or call hooks have ended. Then it returns nil. If ctx is done first it returns ctx's
// error. It cancels no task, and returns no task's error. Do not call Wait from inside a task, a
// hook or a log handler: it would wait for itself.
func (m *Manager) Wait(ctx context.Context) error {
	m.mu.Lock()
	if m.isIdle() {
		m.mu.Unlock()
		return nil
	}
	if m.idle == nil {
		m.idle = make(chan struct{})
	}
	idle := m.idle
	m.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isIdle reports whether nothing is left to wait for: no unfinished task, no helper and, once a
// shutdown has begun, no timer that is set and no worker that has not taken a task yet. m.mu is
// held.
func (m *Manager) isIdle() bool {
	return m.sched.Idle() && m.helpers == 0 &&
		(!m.sched.Draining() || m.watch.at.IsZero() && m.workers.starting == 0 && !m.refusals.isFiring())
}

// wakeIfIdle wakes the callers of Wait if nothing is left to wait for. After a drain it stops the
// watch. m.mu is held.
func (m *Manager) wakeIfIdle() {
	if m.sched.Draining() && m.sched.Idle() {
		m.stopWatch()
	}
	if m.idle != nil && m.isIdle() {
		close(m.idle)
		m.idle = nil
	}
}

// help runs f, which may call user code, on a goroutine of its own. Wait and Shutdown wait for it.
// The channel is closed when f is over. m.mu is held.
func (m *Manager) help(f func()) (done <-chan struct{}) {
	over := make(chan struct{})
	m.helpers++
	go func() {
		defer m.helped()
		defer close(over)
		f()
	}()
	return over
}

// helped is called at the end of a helper: what help has started, or a timer.
func (m *Manager) helped() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.helpers--
	m.wakeIfIdle()
}

// SetLimit changes the limit of [WithLimit]. If the new limit has room, queued tasks start at once.
// A lower limit stops no task; it takes effect as tasks end.
func (m *Manager) SetLimit(running, queued int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(m.sched.SetLimit(running, queued))
}

// Draining returns a channel that is closed when Shutdown or Close begins.
func (m *Manager) Draining() <-chan struct{} { return m.draining }

// unfinished returns the running and queued tasks. m.mu is held.
func (m *Manager) unfinished() []*Task {
	tasks := make([]*Task, 0, m.sched.Running()+m.sched.Queued())
	return slices.AppendSeq(tasks, m.sched.Unfinished)
}

type managerKey struct{}

// NewContext returns a copy of ctx that carries m, for [FromContext] to find. A server can attach
// its manager to each request, where constructors cannot take it.
func NewContext(ctx context.Context, m *Manager) context.Context {
	if ctx == nil {
		panic("afterspan: NewContext: ctx is nil")
	}
	return context.WithValue(ctx, managerKey{}, m)
}

// FromContext returns the manager that [NewContext] put into ctx, and whether there was one.
func FromContext(ctx context.Context) (m *Manager, ok bool) {
	m, ok = ctx.Value(managerKey{}).(*Manager)
	return m, ok && m != nil
}
