package core

import (
	"context"
	"fmt"
	"slices"
)

// Func is what users write: the body of a task. Its context has the values of the context given to
// [Manager.Go], but not its cancellation.
type Func = func(ctx context.Context) error

// A Handler runs a task, or a part of its chain. It is what a [Middleware] wraps.
//
// The context given to the next Handler must be the one received, or be derived from it. A Handler
// that returns while the next one still runs, on a goroutine of its own, has decided the task's
// error and outcome. The context is then cancelled; the task ends, and gives up its slot, when the
// Func has returned.
type Handler func(ctx context.Context, t *Task) error

// A Middleware is a set of hooks around every task. Each may be nil. One Middleware serves all
// tasks of a manager, so its hooks must be safe for concurrent use. What belongs to one task
// travels from Spawn to the run as a value in the context.
//
// A panic in Spawn or in a Handler is recovered: the task fails with a [*PanicError], and the
// process lives on. A panic in another hook is recovered and logged at ERROR.
type Middleware struct {
	// Spawn is called once for each accepted task, first middleware first, before Go returns and while
	// the spawner's span is still recording.
	//
	// ctx has the spawner's values and no cancellation; [TaskFromContext] does not find t in it. The
	// run's context is made from what Spawn returns, which must be ctx or derived from it, with the
	// task's own timeout and cancellation around it. If Spawn returns a context that can be cancelled,
	// that cancels the run, too. After a panic or a nil result no later Spawn is called, and neither
	// is the task's Func; the chain still runs, so that what earlier Spawns began is ended.
	Spawn func(ctx context.Context, t *Task) context.Context

	// Wrap is called once, by [New]. The Handler that it returns is called once for each accepted
	// task, or as often as the middleware outside it calls next: a retry calls it again, a circuit
	// breaker may not call it at all. To refuse a task, return an error that matches [ErrRejected]
	// without calling next.
	//
	// A panic further in arrives as an ordinary error, a [*PanicError]. After [runtime.Goexit] further
	// in, next does not return, and only deferred calls run.
	Wrap func(next Handler) Handler

	// Refused is called, before Go returns, for a task that the manager refused. t is done, and t.Err
	// says why. ctx is the one given to Go.
	Refused func(ctx context.Context, t *Task)

	// Ended is called once for each accepted task, on the task's goroutine: after its chain, when
	// t.Outcome and t.Err are decided, and before Done is closed. ctx is the innermost context that
	// the chain made; it may be cancelled.
	Ended func(ctx context.Context, t *Task)

	// Abandoned is called for a task that still runs when Shutdown or Close returns: the process is
	// about to end without it. It is called once for each task, whatever further calls there are, and
	// not for a task cancelled in the queue.
	//
	// The calls come one after another at the bound of the Shutdown, and together may take 50 ms. ctx
	// has the task's values and is done when that time is over; no further call begins then.
	Abandoned func(ctx context.Context, t *Task)
}

type (
	spawnHook = func(ctx context.Context, t *Task) context.Context
	hook      = func(ctx context.Context, t *Task)
)

// MiddlewareFunc returns a [Middleware] that wraps the run and has no other hook.
func MiddlewareFunc(wrap func(next Handler) Handler) Middleware {
	if wrap == nil {
		panic("afterspan: MiddlewareFunc: wrap is nil")
	}
	return Middleware{Wrap: wrap}
}

// compose makes one Handler of the chain: compose([a, b], call) = a(b(call)). Each layer is guarded,
// so that the layer outside it sees a panic as an error; call guards itself.
func compose(chain []Middleware, call Handler) Handler {
	next := call
	for i, mw := range slices.Backward(chain) {
		if mw.Wrap == nil {
			continue
		}
		h := mw.Wrap(next)
		if h == nil {
			panic(fmt.Sprintf("afterspan: New: Wrap of middleware %d returned a nil Handler", i))
		}
		next = guard(h)
	}
	return next
}

// guard returns h with its panics made errors.
func guard(h Handler) Handler {
	return func(ctx context.Context, t *Task) (err error) {
		returned := false
		defer func() {
			if !returned {
				err = recovered(recover(), t)
			}
		}()
		err = h(ctx, t)
		returned = true
		return err
	}
}
