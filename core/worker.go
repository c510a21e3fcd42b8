package core

import "runtime"

// workers are the goroutines of a manager. A worker runs a task, and then any task that is ready by
// then: to start a goroutine and to grow its stack costs more than all else that a manager does for
// a short task. It ends when nothing is ready, so no goroutine idles and there is nothing to stop.
//
// No task waits for another one to end, though. While n tasks are ready, min(n, GOMAXPROCS)
// goroutines have been started that have not taken a task yet, and each starts the next when it
// takes one.
//
// m.mu of the manager guards the fields.
type workers struct {
	manager     *Manager
	first, last *Task  // ready: they lack nothing but a goroutine. Linked by nextReady
	ready       int    // how many
	starting    int    // goroutines that have not taken a task yet
	most        int    // of starting
	work        func() // run, made once: a go statement with a receiver allocates
}

func (w *workers) init(m *Manager) {
	w.manager, w.most = m, runtime.GOMAXPROCS(0)
	w.work = w.run
}

// start makes t ready.
func (w *workers) start(t *Task) {
	if w.last == nil {
		w.first = t
	} else {
		w.last.nextReady = t
	}
	w.last = t
	w.ready++
	w.startGoroutine()
}

// startGoroutine starts a goroutine if one is missing.
func (w *workers) startGoroutine() {
	if w.starting < min(w.ready, w.most) {
		w.starting++
		go w.work()
	}
}

func (w *workers) run() {
	for t := w.takeFirst(); t != nil; {
		t = w.manager.runTask(t)
	}
}

// takeFirst returns the first task of a new goroutine, or nil: other goroutines may have been
// faster.
func (w *workers) takeFirst() *Task {
	m := w.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	w.starting--
	t := w.take()
	w.startGoroutine()
	m.wakeIfIdle()
	return t
}

// take returns the next task that is ready, or nil.
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
