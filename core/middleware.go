package core

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
)

// Func is what users write: the body of a task. Its context has the values of the context
// given to [Manager.Go], but not its cancellation.
type Func = func(ctx context.Context) error

// A Handler runs a task, or a part of its chain. It is what a [Middleware] wraps.
//
// The context given to the next Handler must be the one received, or be derived from it. A Handler
// that returns while the next one still runs, on a goroutine of its own, has decided the task's error and
// outcome; the context is then cancelled, and the task ends, and gives up its slot, when the Func has returned.
type Handler func(ctx context.Context, t *Task) error

// A Middleware sees the two moments of a task: the spawn, on the goroutine that calls
// [Manager.Go], and the run, on the goroutine of the task.
//
// One Middleware serves all the tasks of a manager, so both methods must be safe for
// concurrent use. What belongs to one task travels from Spawn to the run as a value in the context.
//
// A panic in either is recovered: the task fails with a [*PanicError], and the process lives on.
type Middleware interface {
	// Spawn is called once for each accepted task, in the order of the chain, before
	// [Manager.Go] returns: the spawner's span is still recording. A refused task never gets here.
	//
	// ctx has the spawner's values and no cancellation; [TaskFromContext] does not find t in it. The run's
	// context is made from what Spawn returns, which has to be ctx or derived from it, with the task's own timeout
	// and cancellation around it. If what Spawn returns can be cancelled itself, that cancels the run, too.
	// After a panic, or a nil result, no later Spawn is called and neither is the task's
	// Func; the chain still runs, so that what earlier Spawns began is ended.
	Spawn(ctx context.Context, t *Task) context.Context

	// Wrap is called once, by [New]. The Handler that it returns is called once for each
	// accepted task, or as often as the middleware outside it calls next: a retry calls it
	// again, a circuit breaker may not call it at all.
	//
	// A panic further in arrives as an ordinary error, a [*PanicError]. After
	// [runtime.Goexit] further in, next does not return, and only deferred calls are run.
	Wrap(next Handler) Handler
}

// MiddlewareFunc is a [Middleware] that wraps the run alone, as [net/http.HandlerFunc] is a Handler.
type MiddlewareFunc func(next Handler) Handler

// Spawn returns ctx.
func (f MiddlewareFunc) Spawn(ctx context.Context, _ *Task) context.Context { return ctx }

// Wrap returns f(next).
func (f MiddlewareFunc) Wrap(next Handler) Handler { return f(next) }

// compose makes one Handler of the chain: compose([a, b]) = a(b(call)). Each layer is
// guarded, so that the layer outside it sees a panic as an error.
func compose(chain []Middleware) Handler {
	if len(chain) == 0 {
		return guard(callAlone)
	}
	next := Handler(call) // which has a guard of its own
	for i, mw := range slices.Backward(chain) {
		h := mw.Wrap(next)
		if h == nil {
			panic(fmt.Sprintf("core: New: Wrap of middleware %d (%T) returned a nil Handler", i, mw))
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
				err = recovered(recover())
			}
		}()
		err = h(ctx, t)
		returned = true
		return err
	}
}

// recovered makes an error of what recover returned where a call did not return.
//
// A nil v is either runtime.Goexit, and then nobody will see the error, or a panic(nil)
// in a program that runs with GODEBUG=panicnil=1.
func recovered(v any) error {
	if v == nil {
		v = new(runtime.PanicNilError)
	}
	if again, ok := v.(*PanicError); ok && again != nil { // a middleware's: the first stack tells more
		return again
	}
	return &PanicError{Value: v, Stack: debug.Stack()}
}
