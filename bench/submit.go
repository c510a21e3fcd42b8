package main

import (
	"fmt"
	"runtime"
	"sync"
)

// A mode is how tasks are submitted: by how many goroutines, and how many each starts before it waits for them. So the
// backlog is bounded.
type mode struct {
	name       string
	submitters func() int
	batch      int
}

const batchSize = 256

var (
	oneGoroutine = mode{"one goroutine", one, batchSize}
	allCores     = mode{"all cores", cores, batchSize}
	oneAtATime   = mode{"one at a time", one, 1}
)

func one() int   { return 1 }
func cores() int { return runtime.GOMAXPROCS(0) }

// A run is an engine and its submitters.
type run struct {
	mode    mode
	engine  engine
	submits []func(n int)
	tasks   int
}

// newRun sets up an engine and its submitters.
func newRun(m mode, v variant, j job) *run {
	r := &run{mode: m, engine: v.open()}
	for range m.submitters() {
		j.wg = new(sync.WaitGroup)
		start, wg := r.engine.starter(j), j.wg
		r.submits = append(r.submits, func(n int) {
			for left := n; left > 0; left -= m.batch {
				start(min(m.batch, left))
				wg.Wait()
			}
		})
	}
	return r
}

// submit runs n tasks, shared among the submitters. It returns when they and the engine are done. A task that is lost
// makes it hang, which the watchdog ends; one that runs twice makes its WaitGroup panic.
func (r *run) submit(n int) {
	r.tasks += n
	each, rest := n/len(r.submits), n%len(r.submits)
	if len(r.submits) == 1 {
		r.submits[0](n)
	} else {
		var wg sync.WaitGroup
		for i, s := range r.submits {
			share := each
			if i < rest {
				share++
			}
			wg.Go(func() { s(share) })
		}
		wg.Wait()
	}
	if r.engine.wait != nil {
		r.engine.wait()
	}
}

// close ends the engine.
func (r *run) close() error {
	if r.engine.close == nil {
		return nil
	}
	return r.engine.close(r.tasks)
}

// check has the variant run n tasks that count themselves.
func check(m mode, v variant, j job, n int) error {
	fn, ran := counted(j.fn)
	j.fn = fn
	r := newRun(m, v, j)
	r.submit(n)
	if got := ran.Load(); got != int64(n) {
		return fmt.Errorf("%s, %s: %d tasks ran with a live context, want %d", v.name, m.name, got, n)
	}
	return r.close()
}
