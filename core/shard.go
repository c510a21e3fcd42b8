package core

import (
	"container/list"
	"runtime"
	"sync"
)

// A shard is a part of a manager's tasks, with a lock and goroutines of its own. Each processor that starts tasks has one, so that
// they do not wait for each other: with one lock for all, that was more than a third of the CPU time of short tasks.
//
// What has to be one is one: a manager with a limit has a single shard, and all tasks with a key are in the first. Whoever takes the locks of
// all of them (lockAll) sees, and changes, the manager as of one instant.
type shard struct {
	*Manager // whose it is

	// mu guards the fields below, and those of a Task that say so. Nothing of the user's is called
	// under it. It may be held when a Task's own mu is taken, never the other way round.
	mu       sync.Mutex
	phase    phase              // written under the locks of all shards
	running  taskList           // holdsSlot or dequeued
	skipped  taskList           // skipped
	skipping int                // how many of running are dequeued
	queue    taskList           // queued, waiting for a slot
	workers  workers            // the goroutines
	serials  map[*Serial]*lines // queued, waiting for their turn, and those that hold it; nil until there are any
	stats    Stats              // Queued counts the dequeued, too
	waiters  list.List          // of *waiter: calls of Go that wait for room, oldest first
	idle     chan struct{}      // made by the first that waits for it, closed by the last task
	watch    watch
}

type phase uint8

const (
	open     phase = iota // takes tasks
	draining              // takes tasks of its own running tasks only
	closed                // takes none: all have been cancelled
)

// shards are those of a manager. All but the first are made when a processor needs one.
type shards struct {
	first *shard
	most  int
	mine  sync.Pool // of *shard: gives a processor what it put back before, as long as that goes on. Nothing depends on it

	mu   sync.Mutex // guards the fields below. It is taken before the locks of the shards
	all  []*shard
	turn int // which is handed out next
}

func (s *shards) init(m *Manager) {
	s.most = runtime.GOMAXPROCS(0)
	if m.maxRunning > 0 || plain {
		s.most = 1
	}
	s.mine.New = func() any { return s.next(m) }
	s.first = newShard(m, open)
	s.all = []*shard{s.first}
}

func newShard(m *Manager, phase phase) *shard {
	sh := &shard{Manager: m, phase: phase}
	sh.workers = newWorkers(sh.work)
	return sh
}

// next returns a shard for a processor that has none: a new one, or the next of those there are.
func (s *shards) next(m *Manager) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn == len(s.all) {
		s.all = append(s.all, newShard(m, s.first.phase))
	}
	sh := s.all[s.turn]
	s.turn = (s.turn + 1) % s.most
	return sh
}

// shardFor returns the shard that t belongs to.
func (m *Manager) shardFor(t *Task) *shard {
	if m.shards.most == 1 || t.options.turn != nil {
		return m.shards.first
	}
	sh := m.shards.mine.Get().(*shard)
	m.shards.mine.Put(sh)
	return sh
}

// lockAll takes the locks of all shards.
func (m *Manager) lockAll() {
	m.shards.mu.Lock()
	for _, sh := range m.shards.all {
		sh.mu.Lock()
	}
}

// unlockAll releases the locks of all shards, and starts goroutines for what has become ready.
func (m *Manager) unlockAll() {
	for _, sh := range m.shards.all {
		sh.unlock()
	}
	m.shards.mu.Unlock()
}

// appendTasksLocked appends what runs and waits.
func (sh *shard) appendTasksLocked(tasks []*Task) []*Task {
	tasks = sh.running.appendTo(tasks)
	tasks = sh.queue.appendTo(tasks)
	tasks = sh.skipped.appendTo(tasks)
	return sh.appendWaitingLocked(tasks)
}

// idleChanLocked returns a channel that is closed as soon as nothing runs or waits.
func (sh *shard) idleChanLocked() <-chan struct{} {
	if sh.idle == nil {
		sh.idle = make(chan struct{})
	}
	return sh.idle
}

// wakeIfIdleLocked wakes those who wait for the last task to end, if that is now.
func (sh *shard) wakeIfIdleLocked() {
	if sh.phase != open && sh.stats.Running+sh.stats.Queued == 0 {
		sh.stopWatchLocked()
	}
	if sh.isIdleLocked() && sh.idle != nil {
		close(sh.idle)
		sh.idle = nil
	}
}

// isIdleLocked reports whether there is nothing to wait for: no task, no line about one that is being written, and,
// once the shutdown has begun, no timer that is about to look for one and no goroutine that was started for one.
func (sh *shard) isIdleLocked() bool {
	return sh.stats.Running+sh.stats.Queued == 0 && sh.watch.logging == 0 &&
		(sh.phase == open || sh.watch.at.IsZero() && sh.workers.starting == 0)
}
