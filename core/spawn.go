package core

import (
	"context"
	"fmt"
)

// Go starts fn as a background task and returns its handle, which is never nil and may be ignored.
// The name says what kind of work it is: use few different names, and put ids into [WithAttrs].
//
// The task's context has the values of ctx, such as its trace, baggage and logger, and none of its
// cancellation or deadline: the task lives on when the request has ended. See [Attached] and
// [Manager.Group] for tasks that should not. On a manager [WithBlocking], ctx bounds the wait for
// room.
//
// After Shutdown or Close has begun, or when the limit is reached, the task is refused. It is then
// done at once: its Outcome is [Rejected] and its Err is [ErrClosed] or [ErrFull]. While Shutdown
// drains, running tasks may still start others with their own context.
//
// The goroutine of fn has the pprof labels of ctx. It may run another task after fn has returned,
// so fn must undo changes to its goroutine, such as [runtime.LockOSThread].
//
// An error that fn returns, or its panic, is logged and kept in the handle. Go panics if ctx or fn
// is nil.
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
	prepare := t.attached() || len(m.spawns) > 0 || m.logsCreated(ctx)
	t.ready = !prepare
	switch err := m.admit(ctx, t); {
	case err != nil:
		m.refuse(ctx, t, err)
	case prepare:
		m.prepare(ctx, t)
	}
	return t
}

// prepare calls the Spawns of t, and starts it as soon as it has a slot. However they end, the task
// is started: its slot is taken, and the chain has to end what earlier Spawns began.
func (m *Manager) prepare(ctx context.Context, t *Task) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		t.ready = true
		m.startIfReady(t)
	}()
	r := t.run
	if len(m.spawns) > 0 {
		r.values = context.WithoutCancel(ctx)
		m.callSpawns(r)
	}
	m.logCreated(r.values, t)
	if t.attached() {
		r.attachTo(ctx)
	}
}

func (m *Manager) callSpawns(r *run) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			r.failSpawn(recovered(v, r.task))
		} else {
			r.failSpawn(ErrGoexit)
		}
	}()
	for i, spawn := range m.spawns {
		ctx := spawn(r.values, r.task)
		if ctx == nil {
			panic(fmt.Sprintf("afterspan: Spawn hook %d returned a nil context", i))
		}
		r.linked = probe(ctx)
		r.values = ctx
	}
	returned = true
}

// probe reports whether ctx, which a Spawn made, can be cancelled. It asks ctx all that a child of
// ctx would, since a panic does no harm here.
func probe(ctx context.Context) (linked bool) {
	ctx.Deadline()
	if ctx.Done() == nil {
		return false
	}
	_, cancel := context.WithCancel(ctx)
	cancel()
	return true
}

// failSpawn makes a task whose Spawn did not return skip its Func. That counts more than a cancel.
func (r *run) failSpawn(err error) {
	r.task.mu.Lock()
	defer r.task.mu.Unlock()
	r.skip = err
}

// spawner is the context that was given to Go, of an attached task.
type spawner struct {
	ctx    context.Context
	detach func() bool // ends the wait for it
}

// attachTo cancels the task when ctx is done.
func (r *run) attachTo(ctx context.Context) {
	detach := context.AfterFunc(ctx, func() { r.task.contextEnded(context.Cause(ctx)) })
	r.spawner = &spawner{ctx, detach}
}
