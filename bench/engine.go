package main

import (
	"context"
	"sync"
	"time"
)

// taskName is the name of every task, where a task can have one.
const taskName = "send_receipt"

// timeout is that of every task that has one. None ever fires.
const timeout = time.Minute

// poolSize is that of every pool with a fixed size.
const poolSize = 64

// A work is what a task does.
type work = func(context.Context) error

// A job is what one submitter starts, again and again.
type job struct {
	ctx context.Context
	fn  work
	wg  *sync.WaitGroup // what the submitter waits for
}

// marked returns the function of the job with the mark at its end that the submitter waits for. It is made once
// for each submitter, for every engine that takes a function.
func (j job) marked() work {
	wg, fn := j.wg, j.fn
	return func(ctx context.Context) error {
		defer wg.Done()
		return fn(ctx)
	}
}

// thunk is marked for engines that know no context and no error.
func (j job) thunk() func() {
	ctx, fn := j.ctx, j.marked()
	return func() { _ = fn(ctx) }
}

// thunkErr is marked for engines that know no context.
func (j job) thunkErr() func() error {
	ctx, fn := j.ctx, j.marked()
	return func() error { return fn(ctx) }
}

// A starter starts n tasks, one after the other, and does not wait for them.
type starter func(n int)

// An engine is one way to run tasks, set up, and shared by all submitters.
type engine struct {
	starter func(j job) starter
	wait    func()                // until the engine has done what it does after a task; it is measured. nil: nothing
	close   func(tasks int) error // ends it, and says what went wrong; it is not measured. nil: nothing
}

// within returns fn with the standard library's timeout around it: how a timeout comes to those that have none.
func within(fn work) work {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return fn(ctx)
	}
}

// timed returns an engine that runs every task within the timeout.
func timed(open func() engine) func() engine {
	return func() engine {
		e := open()
		inner := e.starter
		e.starter = func(j job) starter {
			j.fn = within(j.fn)
			return inner(j)
		}
		return e
	}
}
