package core

import (
	"cmp"
	"container/list"
	"context"
	"slices"
	"sync"
)

// A Manager starts tasks, knows which are running, and ends them. Make one with [New], for
// the life of the process, and end it with [Manager.Shutdown]. Its methods are safe for
// concurrent use.
type Manager struct {
	config
	chain Handler

	// mu guards the fields below, and those of a Task that say so. Nothing of the user's is called
	// under it. It may be held when a Task's own mu is taken, never the other way round.
	mu       sync.Mutex
	phase    phase
	running  taskList           // holdsSlot or dequeued
	skipped  taskList           // skipped
	skipping int                // how many of running are dequeued
	queue    taskList           // queued, waiting for a slot
	workers  workers            // the goroutines
	serials  map[*Serial]*lines // queued, waiting for their turn, and those that hold it; nil until there are any
	stats    Stats              // Queued counts the dequeued, too
	waiters  list.List          // of *waiter: calls of Go that wait for room, oldest first
	idle     chan struct{}      // made by the first that waits for it, closed by the last task
	shutdown shutdown
	watch    watch
	refusals refusals
}

type phase uint8

const (
	open     phase = iota // takes tasks
	draining              // takes tasks of its own running tasks only
	closed                // takes none: all have been cancelled
)

// Stats are the counters and gauges of a manager, all of the same instant:
// Created = Running + Queued + Completed + Failed + Cancelled + TimedOut.
type Stats struct {
	Created   uint64 `json:"created"` // accepted
	Completed uint64 `json:"completed"`
	Failed    uint64 `json:"failed"`
	Cancelled uint64 `json:"cancelled"`
	TimedOut  uint64 `json:"timed_out"`
	Rejected  uint64 `json:"rejected"` // refused, and so not in Created

	Running int `json:"running"` // never over the limit
	Queued  int `json:"queued"`  // with those that were cancelled while they waited, until they end
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
	m := &Manager{config: newConfig(opts)}
	m.chain = compose(m.middleware)
	m.workers = newWorkers(m.work)
	return m
}

// Go starts fn as a background task, and returns its handle, which is never nil and may be ignored.
// name says what kind of work it is: keep it one of few, and put ids into [WithAttrs].
//
// The task's context has the values of ctx (its trace, its baggage, its logger) and none of its
// cancellation or deadline: the task lives on when the request has ended. ctx only bounds
// the wait for room of a manager [WithBlocking].
//
// After Shutdown or Close began, or when the limit is reached, the task is refused: it is
// done at once, its Outcome is [Rejected] and its Err [ErrClosed] or [ErrFull].
// While Shutdown drains, the tasks that still run may start others with their own context.
//
// fn has a goroutine, with the pprof labels of ctx, until it returns. The goroutine may run another task after that, so fn
// has to undo what it did to it, such as [runtime.LockOSThread].
//
// An error that fn returns, and a panic, are logged and kept in the handle. Go panics if ctx or fn is nil.
func (m *Manager) Go(ctx context.Context, name string, fn Func, opts ...TaskOption) *Task {
	switch {
	case m.chain == nil:
		panic("core: Go: the Manager was not made by New")
	case ctx == nil:
		panic("core: Go: ctx is nil")
	case fn == nil:
		panic("core: Go: fn is nil")
	}
	t := newTask(name, m.defaults, opts)
	t.manager, t.fn = m, fn
	t.detach(ctx)
	hasSpawns := len(m.middleware) > 0 || m.logsCreated(t)
	t.spawned = !hasSpawns // it is ready as soon as it has a slot
	switch err := m.admit(ctx, t); {
	case err != nil:
		m.refuse(ctx, t, err)
	case hasSpawns:
		m.spawn(t)
	}
	return t
}

// Tasks returns a snapshot of what runs and waits, oldest first.
func (m *Manager) Tasks() []TaskInfo {
	m.mu.Lock()
	tasks := m.tasksLocked()
	m.mu.Unlock()
	infos := make([]TaskInfo, 0, len(tasks)) // an empty list marshals to [], not to null
	for _, t := range tasks {                // one at a time, so that a long list does not hold up those who spawn
		if info := t.Info(); !info.Done {
			infos = append(infos, info)
		}
	}
	return infos
}

// tasksLocked returns what runs and waits, oldest first.
func (m *Manager) tasksLocked() []*Task {
	tasks := make([]*Task, 0, m.stats.Running+m.stats.Queued)
	tasks = m.running.appendTo(tasks)
	tasks = m.queue.appendTo(tasks)
	tasks = m.skipped.appendTo(tasks)
	tasks = m.appendWaitingLocked(tasks)
	// In order already, but for those of a Serial, and those that were cancelled while queued.
	slices.SortFunc(tasks, func(a, b *Task) int { return cmp.Compare(a.id, b.id) })
	return tasks
}

// Stats returns the counters and gauges as they are now.
func (m *Manager) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// Wait waits until nothing runs or waits in the queue, also what was started meanwhile, and returns nil; or
// ctx's error, if ctx is done before. It cancels nothing, and a task's failure is the task's, not Wait's.
// Do not call it from inside a task: it would wait for it.
func (m *Manager) Wait(ctx context.Context) error {
	idle := m.idleChan()
	select {
	case <-idle:
		return nil
	default:
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idleChan returns a channel that is closed as soon as nothing runs or waits.
func (m *Manager) idleChan() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isIdleLocked() {
		return closedChan
	}
	if m.idle == nil {
		m.idle = make(chan struct{})
	}
	return m.idle
}

// wakeIfIdleLocked wakes those who wait for the last task to end, if that is now.
func (m *Manager) wakeIfIdleLocked() {
	if m.phase != open && m.stats.Running+m.stats.Queued == 0 {
		m.stopWatchLocked()
	}
	if m.isIdleLocked() && m.idle != nil {
		close(m.idle)
		m.idle = nil
	}
}

// isIdleLocked reports whether there is nothing to wait for: no task, no line about one that is being written, and,
// once the shutdown has begun, no timer that is about to look for one and no goroutine that was started for one.
func (m *Manager) isIdleLocked() bool {
	return m.stats.Running+m.stats.Queued == 0 && m.watch.logging == 0 &&
		(m.phase == open || m.watch.at.IsZero() && m.workers.starting == 0)
}
