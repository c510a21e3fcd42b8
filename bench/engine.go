package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// An engine is one way to run tasks.
type engine struct {
	starter func(j job) (start func()) // start starts one task of j

	// The others are nil where there is nothing to do.
	cancel    func()     // cancels all tasks
	wait      func()     // waits until the engine is done with all tasks
	close     func()     // ends the engine
	completed func() int // is the engine's own count
}

// A job is what one goroutine starts, again and again.
type job struct {
	ctx context.Context
	fn  work
	wg  *sync.WaitGroup // counts the tasks in flight
}

// A work is what a task does.
type work = func(context.Context) error

// marked returns fn with the call of wg.Done at its end.
func (j job) marked() work {
	wg, fn := j.wg, j.fn
	return func(ctx context.Context) error {
		defer wg.Done()
		return fn(ctx)
	}
}

// thunk returns marked for an engine that knows no context and no error.
func (j job) thunk() func() {
	ctx, fn := j.ctx, j.marked()
	return func() { _ = fn(ctx) }
}

// A mode is how tasks are submitted: by how many goroutines, and how many tasks each of them starts
// before it waits for them.
type mode struct {
	name       string
	submitters int
	batch      int
}

var (
	oneGoroutine = mode{"one goroutine", 1, 256}
	allCores     = mode{"all cores", runtime.GOMAXPROCS(0), 256}
	oneAtATime   = mode{"one at a time", 1, 1}
	modes        = []mode{oneGoroutine, allCores, oneAtATime}
)

// submit runs n tasks, and returns when they and the engine are done. A lost task makes it hang,
// until the watchdog ends the program. A task that runs twice makes a WaitGroup panic.
func (e engine) submit(ctx context.Context, m mode, fn work, n int) {
	var all sync.WaitGroup
	for i := range m.submitters {
		share := n*(i+1)/m.submitters - n*i/m.submitters
		all.Go(func() {
			var wg sync.WaitGroup
			start := e.starter(job{ctx, fn, &wg})
			for left := share; left > 0; left -= m.batch {
				for range min(m.batch, left) {
					wg.Add(1)
					start()
				}
				wg.Wait()
			}
		})
	}
	all.Wait()
	if e.wait != nil {
		e.wait()
	}
}

const warmTasks = 1024

// warmUp runs some tasks, which count themselves.
func (e engine) warmUp(ctx context.Context, m mode, fn work) error {
	var live atomic.Int64
	e.submit(ctx, m, func(ctx context.Context) error {
		if ctx.Err() == nil {
			live.Add(1)
		}
		return fn(ctx)
	}, warmTasks)
	if n := live.Load(); n != warmTasks {
		return fmt.Errorf("%d tasks ran with a live context, want %d", n, warmTasks)
	}
	return nil
}

// finish closes the engine, and checks that so many tasks have completed.
func (e engine) finish(tasks int) error {
	if e.close != nil {
		e.close()
	}
	if e.completed != nil && e.completed() != tasks {
		return fmt.Errorf("%d tasks completed, want %d", e.completed(), tasks)
	}
	return nil
}

// bareGo is the floor: a go statement and a WaitGroup.
func bareGo() engine {
	return engine{starter: func(j job) func() {
		ctx, fn, wg := j.ctx, j.fn, j.wg
		return func() {
			go func() {
				defer wg.Done()
				_ = fn(ctx)
			}()
		}
	}}
}
