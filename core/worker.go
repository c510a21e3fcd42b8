package core

import "runtime"

// workers starts the goroutines that run tasks. After a task, a goroutine runs the next one that is
// ready, because a new goroutine and the growth of its stack cost more than all else in a short
// task. If none is ready it exits, so no goroutine is idle.
//
// A ready task never waits for another one to end: while n tasks are ready, at least
// min(n, GOMAXPROCS) started goroutines have not taken a task yet. Each starts another, if one is
// needed, when it takes its task.
//
// Manager.mu guards the fields but the constant ones.
type workers struct {
	manager     *Manager // constant
	work        func()   // w.run as a value, made once: `go w.run()` allocates. Constant
	maxStarting int      // constant
	first, last *Task    // the ready tasks, linked by nextReady: they wait only for a goroutine
	ready       int      // how many
	starting    int      // goroutines that have not taken a task yet
}

func (w *workers) init(m *Manager) {
	w.manager, w.maxStarting = m, runtime.GOMAXPROCS(0)
	w.work = w.run
}

// add appends t to the ready tasks, and starts a goroutine if one is needed. m.mu is held.
func (w *workers) add(t *Task) {
	if w.last == nil {
		w.first = t
	} else {
		w.last.nextReady = t
	}
	w.last = t
	w.ready++
	w.startGoroutine()
}

// startGoroutine starts a goroutine if fewer than min(ready, maxStarting) are starting. m.mu is
// held.
func (w *workers) startGoroutine() {
	if w.starting < min(w.ready, w.maxStarting) {
		w.starting++
		go w.work()
	}
}

func (w *workers) run() {
	for t := w.takeFirst(); t != nil; {
		t = w.manager.runTask(t)
	}
}

// takeFirst returns the first task of a new goroutine, or nil if other goroutines took them all.
func (w *workers) takeFirst() *Task {
	m := w.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	t := w.arrive()
	m.wakeIfIdle()
	return t
}

// arrive counts a goroutine as no longer starting, and returns its task, or nil. m.mu is held.
func (w *workers) arrive() *Task {
	w.starting--
	t := w.take()
	w.startGoroutine()
	return t
}

// take removes and returns the first ready task, or nil. m.mu is held.
func (w *workers) take() *Task {
	t := w.first
	if t == nil {
		return nil
	}
	if w.first = t.nextReady; w.first == nil {
		w.last = nil
	}
	t.nextReady = nil
	w.ready--
	w.manager.watchTimeout(t)
	return t
}
