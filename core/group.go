package core

import (
	"context"
	"sync"
)

// A Group starts tasks that belong together, such as those of one request, in a manager that others
// use as well. Make one with [Manager.Group]. Its methods are safe for concurrent use; a task of
// the group may start further ones.
type Group struct {
	manager *Manager
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu         sync.Mutex // guards the fields below
	unfinished int
	err        error         // the first error of a task
	idle       chan struct{} // made by Wait; closed when all tasks have ended
}

// Group returns a group whose tasks have the values of ctx. Its tasks, running or queued, are
// cancelled when ctx is done, when one of them fails, or by [Group.Cancel]. An error that a task
// returns after that counts as [Cancelled]. Finally call [Group.Wait], which releases the group's
// context.
func (m *Manager) Group(ctx context.Context) *Group {
	if ctx == nil {
		panic("afterspan: Group: ctx is nil")
	}
	g := &Group{manager: m}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Go starts fn as a task of the group, as [Manager.Go] does. A refused task cancels the group, as
// one that returns an error does. While Shutdown drains, a group with unfinished tasks can still
// start tasks.
//
// Where Go waits for room ([WithBlocking]), do not call it from a task of the group: Go does not
// know its caller, and may wait for room that the caller holds. Start such a task with
// [Manager.Go], the caller's context and [Attached].
func (g *Group) Go(name string, fn Func, opts ...TaskOption) *Task {
	return g.manager.Go(g.ctx, name, fn, append([]TaskOption{g.join}, opts...)...)
}

func (g *Group) join(o *taskOptions) { o.group, o.attached = g, true }

// Wait waits until all tasks of the group have ended, and returns the first error of one of them.
// After that the group's context is done: the Func of a task that is started later is not called.
// Do not call Wait from inside a task of the group: it would wait for that task.
func (g *Group) Wait() error {
	for {
		idle, err := g.end()
		if idle == nil {
			return err
		}
		<-idle
	}
}

// end cancels the group's context and returns the group's error, if all tasks have ended. Otherwise
// it returns a channel that is closed when they have.
func (g *Group) end() (idle <-chan struct{}, err error) {
	g.mu.Lock()
	if g.unfinished > 0 {
		defer g.mu.Unlock()
		if g.idle == nil {
			g.idle = make(chan struct{})
		}
		return g.idle, nil
	}
	err = g.err
	g.mu.Unlock()
	g.cancel(err) // may call user code, so no lock is held
	return nil, err
}

// Cancel cancels the tasks of the group. The cause matches [ErrCancelled].
func (g *Group) Cancel() { g.cancel(errGroupCancelled) }

// fail notes the error of a task, and cancels the group. It does so before the others hear of the
// cancel, so that none of their errors is taken for the first.
func (g *Group) fail(err error) {
	g.mu.Lock()
	if g.err == nil {
		g.err = err
	}
	g.mu.Unlock()
	g.cancel(err)
}

// joinGroup tells the group of t, if it has one, that t was accepted or refused.
func (t *Task) joinGroup() {
	if g := t.options.group; g != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.unfinished++
	}
}

// isBusy reports whether a task of the group is unfinished. It may be the one that calls Group.Go.
func (g *Group) isBusy() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unfinished > 0
}

// failGroup tells the group of t, if it has one, the error of t.
func (t *Task) failGroup(err error) {
	if g := t.options.group; g != nil && err != nil {
		g.fail(err)
	}
}

// leaveGroup tells the group of t, if it has one, that t is done. A kept handle does not keep the
// group's context.
func (t *Task) leaveGroup() {
	g := t.options.group
	if g == nil {
		return
	}
	t.options.group = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.unfinished--; g.unfinished == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}
