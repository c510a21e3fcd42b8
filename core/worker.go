package core

import (
	"math"
	"runtime"
)

// workers are the goroutines of a shard. Each runs a task, and then whatever is ready by then, since a goroutine costs more
// than all else that a manager does for a task: above all one whose stack has to grow for it. It ends when nothing is
// ready. So none idles, and there is nothing to stop.
//
// Yet no task waits for another one to end. While tasks are ready, as many goroutines are on their way to them as can run at
// a time, and each makes way for the next when it takes one.
type workers struct {
	ready    fifo   // tasks that lack nothing but a goroutine
	starting int    // goroutines that have not taken a task yet
	most     int    // of those
	work     func() // shard.work, made once: a go statement with an argument would allocate
}

func newWorkers(work func()) workers {
	w := workers{most: runtime.GOMAXPROCS(0), work: work}
	if plain {
		w.most = math.MaxInt
	}
	return w
}

// unlock releases the shard's lock where tasks may have become ready, and starts goroutines for them.
func (sh *shard) unlock() {
	w := &sh.workers
	missing := max(min(w.ready.len(), w.most)-w.starting, 0)
	w.starting += missing
	sh.mu.Unlock()
	for range missing {
		go w.work()
	}
}

// work is a goroutine of the shard.
func (sh *shard) work() {
	for t := sh.takeFirst(); t != nil; {
		t = sh.run(t)
	}
}

// takeFirst returns what a goroutine that has just started is to run, or nil: others may have been faster.
func (sh *shard) takeFirst() *Task {
	sh.mu.Lock()
	sh.workers.starting--
	t := sh.workers.ready.pop()
	sh.wakeIfIdleLocked()
	sh.unlock()
	return t
}
