package core

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
)

// A Manager starts tasks, knows which are running, and ends them. Make one with [New], for
// the life of the process, and end it with [Manager.Shutdown]. Its methods are safe for
// concurrent use.
type Manager struct {
	config
	chain    Handler
	shards   shards
	shutdown shutdown // guarded by all locks

	refusals     refusals
	overdueLines overdueLines
	lastID       atomic.Uint64 // of an accepted task. Every task changes it, so it is not beside what every task reads
}

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

func (s *Stats) add(o Stats) {
	s.Created += o.Created
	s.Completed += o.Completed
	s.Failed += o.Failed
	s.Cancelled += o.Cancelled
	s.TimedOut += o.TimedOut
	s.Rejected += o.Rejected
	s.Running += o.Running
	s.Queued += o.Queued
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
	m.shards.init(m)
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
	t.fn = fn
	t.detach(ctx)
	sh := m.shardFor(t)
	t.shard = sh
	hasSpawns := len(m.middleware) > 0 || m.logsCreated(t)
	t.spawned = !hasSpawns // it is ready as soon as it has a slot
	switch err := sh.admit(ctx, t); {
	case err != nil:
		sh.refuse(ctx, t, err)
	case hasSpawns:
		sh.spawn(t)
	}
	return t
}

// Tasks returns a snapshot of what runs and waits, oldest first.
func (m *Manager) Tasks() []TaskInfo {
	m.lockAll()
	tasks := m.tasksLocked()
	m.unlockAll()
	sortByAge(tasks)
	infos := make([]TaskInfo, 0, len(tasks)) // an empty list marshals to [], not to null
	for _, t := range tasks {                // one at a time, so that a long list does not hold up those who spawn
		if info := t.Info(); !info.Done {
			infos = append(infos, info)
		}
	}
	return infos
}

// tasksLocked returns what runs and waits, those of each shard together.
func (m *Manager) tasksLocked() []*Task {
	now := m.statsLocked()
	tasks := make([]*Task, 0, now.Running+now.Queued)
	for _, sh := range m.shards.all {
		tasks = sh.appendTasksLocked(tasks)
	}
	return tasks
}

// sortByAge sorts tasks, oldest first. A long list takes a while, which is better spent without the locks.
func sortByAge(tasks []*Task) {
	slices.SortFunc(tasks, func(a, b *Task) int { return cmp.Compare(a.id, b.id) })
}

// Stats returns the counters and gauges as they are now.
func (m *Manager) Stats() Stats {
	m.lockAll()
	defer m.unlockAll()
	return m.statsLocked()
}

func (m *Manager) statsLocked() (sum Stats) {
	for _, sh := range m.shards.all {
		sum.add(sh.stats)
	}
	return sum
}

// Wait waits until nothing runs or waits in the queue, also what was started meanwhile, and returns nil; or
// ctx's error, if ctx is done before. It cancels nothing, and a task's failure is the task's, not Wait's.
// Do not call it from inside a task: it would wait for it.
func (m *Manager) Wait(ctx context.Context) error {
	for {
		idle := m.busy()
		if idle == nil {
			return nil
		}
		select {
		case <-idle:
			if m.shards.most == 1 {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// busy returns nil if nothing runs or waits, else a channel that is closed as soon as that is worth another look.
func (m *Manager) busy() (idle <-chan struct{}) {
	m.lockAll()
	defer m.unlockAll()
	for _, sh := range m.shards.all {
		if !sh.isIdleLocked() {
			return sh.idleChanLocked()
		}
	}
	return nil
}
