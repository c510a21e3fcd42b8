package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// A variant is one way to do what its group measures. A sample has so many tasks.
type variant struct {
	name   string
	sample func(m mode, tasks int) (figures, error)
}

// tasks is a variant that runs fn again and again. Each sample has an engine of its own.
func tasks(ctx context.Context, name string, open func() engine, fn work) variant {
	return variant{name, func(m mode, n int) (figures, error) {
		e := open()
		if err := e.warmUp(ctx, m, fn); err != nil {
			return figures{}, err
		}
		f := cost(func() { e.submit(ctx, m, fn, n) }).per(n)
		return f, e.finish(warmTasks + n)
	}}
}

// perEngine is how many tasks are in flight on an engine with many.
const perEngine = 1000

// ended is a variant that parks so many tasks on each of several engines, and times the end of the
// engines.
func ended(name string, open func() engine, each int, end func(engine)) variant {
	return variant{name, func(_ mode, n int) (figures, error) {
		var cancelled atomic.Int64
		engines, _ := park(open, n/each, each, func(ctx context.Context) error {
			<-ctx.Done()
			cancelled.Add(1)
			return ctx.Err()
		})
		f := cost(func() {
			for _, e := range engines {
				end(e)
			}
		}).per(n)
		if got := int(cancelled.Load()); got != n {
			return f, fmt.Errorf("%d tasks were cancelled and drained, want %d", got, n)
		}
		return f, nil
	}}
}

// parked is a variant that measures the heap of parked tasks. Their stacks are not in it.
func parked(name string, open func() engine) variant {
	return variant{name, func(_ mode, n int) (figures, error) {
		before, release := heap(), make(chan struct{})
		wait := func(context.Context) error { <-release; return nil }
		engines, all := park(open, n/perEngine, perEngine, wait)
		f := figures{bytes: heap() - before}.per(n)
		close(release)
		all.Wait()
		runtime.KeepAlive(engines)
		return f, nil
	}}
}

// crowded is a variant that runs empty tasks on a manager that has others in flight. Those stay
// until the program ends.
func crowded(name string, inFlight func(tasks int) int) variant {
	var e engine
	return variant{name, func(m mode, n int) (figures, error) {
		if e.starter == nil {
			forever := func(context.Context) error { select {} }
			engines, _ := park(ours(plain), 1, inFlight(n), forever)
			e = engines[0]
			e.wait = nil // it would wait for the others
		}
		ctx := context.Background()
		err := e.warmUp(ctx, m, empty)
		return cost(func() { e.submit(ctx, m, empty, n) }).per(n), err
	}}
}

// park opens engines, starts so many tasks on each, and returns when all tasks have started. The
// WaitGroup counts the tasks in flight.
func park(open func() engine, engines, each int, fn work) ([]engine, *sync.WaitGroup) {
	var started, all sync.WaitGroup
	started.Add(engines * each)
	all.Add(engines * each)
	parked := func(ctx context.Context) error {
		started.Done()
		return fn(ctx)
	}
	opened := make([]engine, engines)
	for i := range opened {
		opened[i] = open()
		start := opened[i].starter(job{context.Background(), parked, &all})
		for range each {
			start()
		}
	}
	started.Wait()
	return opened, &all
}
