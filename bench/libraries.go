package main

import (
	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"
	"golang.org/x/sync/errgroup"
)

// errGroup is an errgroup without a limit. It starts a goroutine for each task.
func errGroup() engine {
	var g errgroup.Group
	starter := func(j job) func() {
		ctx, fn := j.ctx, j.marked()
		task := func() error { return fn(ctx) }
		return func() { g.Go(task) }
	}
	return engine{starter: starter, wait: func() { must(g.Wait()) }}
}

// pondPool is a pool of pond, which has a queue. Its method Go makes no future.
func pondPool() engine {
	p := pond.NewPool(poolSize)
	starter := func(j job) func() {
		task := j.thunk()
		return func() { must(p.Go(task)) }
	}
	completed := func() int { return int(p.SuccessfulTasks()) }
	return engine{starter: starter, close: p.StopAndWait, completed: completed}
}

// antsPool is a pool of ants. A submitter waits while all its goroutines are busy.
func antsPool() engine {
	p, err := ants.NewPool(poolSize)
	must(err)
	starter := func(j job) func() {
		task := j.thunk()
		return func() { must(p.Submit(task)) }
	}
	return engine{starter: starter, close: p.Release}
}

// must panics if an engine refuses what it must not refuse.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
