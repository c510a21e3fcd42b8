package core

import (
	"context"
	"fmt"
)

// Go starts fn as a background task and returns its handle, which is never nil and may be ignored.
// The name is the kind of work: use a small set of names, and put ids into [WithAttrs].
//
// The task's context has the values of ctx, such as its trace, baggage and logger, but not its
// cancellation or deadline: the task keeps running after the request. Use [Attached] or
// [Manager.Group] for a task that must stop with ctx. Where Go waits for room ([WithBlocking],
// [Keyed.Blocking]), ctx bounds that wait.
//
// A task is refused after Shutdown or Close has begun, and when a limit is reached. A refused task
// is done when Go returns: its Outcome is [Rejected] and its Err matches [ErrClosed] or [ErrFull].
// While Shutdown drains, a running task can still start tasks by passing its own context to Go.
//
// fn runs with the pprof labels of ctx. Its goroutine may run another task afterwards, so fn must
// undo changes to the goroutine, such as [runtime.LockOSThread].
//
// An error or a panic of fn is logged and kept in the Task. Go panics if ctx or fn is nil.
func (m *Manager) Go(ctx context.Context, name string, fn Func, opts ...TaskOption) *Task {
	switch {
	case m.chain == nil:
		panic("afterspan: Go: the Manager was not made by New")
	case ctx == nil:
		panic("afterspan: Go: ctx is nil")
	case fn == nil:
		panic("afterspan: Go: fn is nil")
	}
	t := newTask(name, attrsFrom(ctx), m.defaults, opts)
	t.manager = m
	t.run = &run{runContext: runContext{values: ctx}, task: t, fn: fn}
	prepare := t.options.attached || len(m.spawns) > 0 || m.logsCreated(ctx)
	t.ready = !prepare
	switch err := m.admit(ctx, t); {
	case err != nil:
		m.refuse(ctx, t, err)
	case prepare:
		m.prepare(ctx, t)
	}
	return t
}

// prepare calls the Spawns of t, logs that it was created, and lets it start. t starts even if a
// Spawn panicked: it may hold a slot, and the chain must end what earlier Spawns began.
func (m *Manager) prepare(ctx context.Context, t *Task) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		t.ready = true
		m.sched.Renew(&t.item)
		m.startIfReady(t)
	}()
	r := t.run
	if len(m.spawns) > 0 {
		r.values = context.WithoutCancel(ctx)
		m.callSpawns(r)
	}
	if t.options.attached {
		r.attachTo(ctx)
	}
	m.logCreated(r.values, t) // last, because a log handler may call runtime.Goexit
}

// callSpawns calls the Spawns of r.task, each with the context of the one before. If one panics or
// calls runtime.Goexit, r skips its Func.
func (c *config) callSpawns(r *run) {
	returned := false
	defer func() {
		if returned {
			return
		}
		err := ErrGoexit
		if v := recover(); v != nil {
			err = recovered(v, r.task)
		}
		r.task.mu.Lock()
		defer r.task.mu.Unlock()
		r.skip = err // in place of the cause of a cancel
	}()
	for i, spawn := range c.spawns {
		ctx := spawn(r.values, r.task)
		if ctx == nil {
			panic(fmt.Sprintf("afterspan: a Spawn hook returned a nil context (hook %d, counted from 0 without nil hooks)", i))
		}
		r.cancellable = probe(ctx)
		r.values = ctx
	}
	returned = true
}

// probe reports whether ctx, which a Spawn returned, can be cancelled. It calls the methods that a
// derived context would call, so that a panic in them happens here, where it is recovered.
func probe(ctx context.Context) (cancellable bool) {
	ctx.Deadline()
	if ctx.Done() == nil {
		return false
	}
	_, cancel := context.WithCancel(ctx)
	cancel()
	return true
}
