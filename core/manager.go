package core

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// A Manager starts tasks, knows which are running, and ends them. Make one with [New], for the life
// of the process, and end it with [Manager.Shutdown]. Its methods are safe for concurrent use.
type Manager struct {
	config
	chain    Handler
	draining chan struct{} // closed when a shutdown begins
	refusals refusals
	waits    throttle // of the lines about tasks that wait for tasks behind them

	// mu guards the fields below, and the fields of a Task that say so. No code of the user's runs
	// under it. A Task's own mutex may be taken under it, never the other way round.
	mu       sync.Mutex
	sched    sched.Scheduler[*Task]
	lastID   uint64
	counted  Stats  // the counters; gauges are left zero
	refused  uint64 // how many of counted.Rejected the manager refused itself
	workers  workers
	watch    watch
	shutdown shutdown
	helpers  int           // goroutines that log, cancel or report, and no task's
	idle     chan struct{} // made by the first that waits for it; closed when nothing is left
}

// Stats are the counters and gauges of a manager, all of the same instant:
// Created = Running + Queued + Completed + Failed + Cancelled + TimedOut + Rejected.
type Stats struct {
	Created   uint64 `json:"created"` // calls of Go that were accepted or refused
	Completed uint64 `json:"completed"`
	Failed    uint64 `json:"failed"`
	Cancelled uint64 `json:"cancelled"`
	TimedOut  uint64 `json:"timed_out"`
	Rejected  uint64 `json:"rejected"` // by the manager, or by a middleware

	Running int           `json:"running"` // never over the limit
	Queued  int           `json:"queued"`  // includes tasks cancelled in the queue, until they end
	Overdue int           `json:"overdue"` // running, but cancelled or timed out over five seconds ago
	Oldest  time.Duration `json:"-"`       // since its start, of the task that runs longest; 0 if none runs
}

// count adds one task to the counter of its outcome.
func (s *Stats) count(o Outcome) {
	switch o {
	case Completed:
		s.Completed++
	case Failed:
		s.Failed++
	case Cancelled:
		s.Cancelled++
	case TimedOut:
		s.TimedOut++
	case Rejected:
		s.Rejected++
	case Pending:
	}
}

// New returns a manager. It starts no goroutine.
func New(opts ...Option) *Manager {
	m := &Manager{
		config:   newConfig(opts),
		draining: make(chan struct{}),
	}
	m.chain = compose(m.middleware, call)
	m.workers.init(m)
	m.sched.SetLimit(m.maxRunning, m.maxQueued)
	return m
}

// Task returns the task with that ID, if it runs or waits. It looks through all of them; a program that
// asks often, with very many tasks, keeps the handles instead.
func (m *Manager) Task(id uint64) (t *Task, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t := range m.sched.Unended {
		if t.id == id {
			return t, true
		}
	}
	return nil, false
}

// Stats returns the counters and gauges as they are now.
func (m *Manager) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.counted
	s.Running, s.Queued, s.Overdue = m.sched.Running(), m.sched.Queued(), m.watch.overdue
	for t := range m.sched.Started {
		if started := t.StartedAt(); !started.IsZero() {
			s.Oldest = time.Since(started)
			break
		}
	}
	return s
}

// Wait waits until nothing runs or waits in the queue, and returns nil; or ctx's error, if ctx is
// done first. It cancels nothing. A task's failure is the task's, not Wait's. Do not call Wait from
// inside a task: it would wait for that task.
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

// isIdle reports whether nothing is left to wait for: no task, no goroutine of the manager's own
// and, once a shutdown has begun, no timer and no worker that has just been started. m.mu is held.
func (m *Manager) isIdle() bool {
	return m.sched.Idle() && m.helpers == 0 &&
		(!m.sched.Draining() || m.watch.at.IsZero() && m.workers.starting == 0)
}

// wakeIfIdle wakes the callers of Wait if nothing is left to wait for. m.mu is held.
func (m *Manager) wakeIfIdle() {
	if m.sched.Draining() && m.sched.Idle() {
		m.stopWatch()
	}
	if m.idle != nil && m.isIdle() {
		close(m.idle)
		m.idle = nil
	}
}

// help runs f, which may call code of the user's, on a goroutine that Wait and Shutdown wait for.
// m.mu is held.
func (m *Manager) help(f func()) {
	m.helpers++
	go func() {
		defer m.helped()
		f()
	}()
}

func (m *Manager) helped() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.helpers--
	m.wakeIfIdle()
}

// SetLimit changes the limit of [WithLimit]. Waiting tasks start if there is room now. Nothing that
// runs or waits is stopped: a lower limit holds once enough has ended.
func (m *Manager) SetLimit(running, queued int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(m.sched.SetLimit(running, queued))
}

// Draining returns a channel that is closed when Shutdown or Close begins.
func (m *Manager) Draining() <-chan struct{} { return m.draining }

// unended returns the tasks that run and wait. m.mu is held.
func (m *Manager) unended() []*Task {
	return slices.AppendSeq(make([]*Task, 0, m.sched.Running()+m.sched.Queued()), m.sched.Unended)
}

type managerKey struct{}

// NewContext returns a copy of ctx that carries m, for [FromContext] to find. A server puts its
// manager into the context of each request with it, where passing it to constructors is in the way.
func NewContext(ctx context.Context, m *Manager) context.Context {
	return context.WithValue(ctx, managerKey{}, m)
}

// FromContext returns the manager that [NewContext] put into ctx, and whether there was one.
func FromContext(ctx context.Context) (m *Manager, ok bool) {
	m, ok = ctx.Value(managerKey{}).(*Manager)
	return m, ok && m != nil
}
