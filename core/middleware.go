package core

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

// Func is the body of a task. Its context has the values of the context given to [Manager.Go], but
// not its cancellation.
type Func = func(ctx context.Context) error

// A Handler runs a task through the rest of its chain. [Middleware.Wrap] wraps one.
//
// Pass the next Handler the received context or one derived from it. When the outermost Handler
// returns, nothing later changes the error or the outcome, even if the Func still runs on another
// goroutine. The task's context is then cancelled. Until the Func has returned, the task keeps its
// slot and its Outcome is Pending.
type Handler func(ctx context.Context, t *Task) error

// A Middleware is a set of hooks around every task. Any of them may be nil. One Middleware serves
// all tasks of a manager, so its hooks must be safe for concurrent use. Pass data of one task from
// Spawn to Wrap as a value of the context.
//
// A panic in Spawn or in a Handler is recovered, and the task fails with a [*PanicError]. A panic
// in another hook is recovered and logged at ERROR.
type Middleware struct {
	// Spawn is called once for each accepted task, before Go returns, so that the spawner's span
	// still records.
	//
	// ctx has the values of the context given to Go, but not its cancellation; [TaskFromContext]
	// does not find t in it. Return ctx or a context derived from it. The run's context is derived
	// from that, and adds the task's timeout and cancellation. If that context can be cancelled,
	// its cancel cancels the run as well.
	//
	// After a panic or a nil result, neither a later Spawn nor the Func is called. The chain still
	// runs, to end what earlier Spawns began.
	Spawn func(ctx context.Context, t *Task) context.Context

	// Wrap is called once, by [New]. Its Handler is called once for each accepted task, unless a
	// middleware outside it calls next several times (a retry) or not at all (a circuit breaker).
	// To refuse a task, return an error that matches [ErrRejected] without calling next.
	//
	// If an inner Handler or the Func panics, next returns a [*PanicError]. If one of them calls
	// [runtime.Goexit], next does not return, and only deferred calls run.
	Wrap func(next Handler) Handler

	// Refused is called, before Go returns, for a task that the manager refused. t is done, and
	// t.Err says why. ctx is the one given to Go.
	Refused func(ctx context.Context, t *Task)

	// Ended is called once for each accepted task, on the task's goroutine: after its chain, when
	// t.Outcome and t.Err are decided, and before Done is closed. ctx is the context of the Func or,
	// if no middleware called it, of the innermost Handler that was called. It may be cancelled.
	Ended func(ctx context.Context, t *Task)

	// Abandoned is called for each task that is still running when a Shutdown or Close runs out of
	// time. It is called before Shutdown or Close returns, because the process may end then. It is
	// called once for a task, however often Shutdown or Close is called, and not for a task
	// cancelled in the queue.
	//
	// The hooks run one after another, for at most 20 ms together. ctx has the values of the run,
	// or none if the run has not begun. It is done after the 20 ms, and then no further hook is
	// called.
	Abandoned func(ctx context.Context, t *Task)

	// Enqueued is called for a task that an engine other than Manager has stored, to run it later
	// and maybe in another process: see [Chain.Enqueued]. No other hook is called for t after that.
	// ctx is what the Spawns returned. A Manager never calls it.
	Enqueued func(ctx context.Context, t *Task)
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

// compose builds the chain: compose([a, b]) = a(b(callFunc)). Each layer is guarded, so that the
// layer outside it sees a panic as an error; callFunc guards itself.
func compose(chain []Middleware) Handler {
	next := Handler(callFunc)
	for i, mw := range slices.Backward(chain) {
		if mw.Wrap == nil {
			continue
		}
		h := mw.Wrap(next)
		if h == nil {
			panic(fmt.Sprintf("afterspan: Wrap of middleware %d returned a nil Handler", i))
		}
		next = guard(h)
	}
	return next
}

// guard returns a Handler that turns a panic of h into an error, and notes the context that it came
// to.
func guard(h Handler) Handler {
	return func(ctx context.Context, t *Task) (err error) {
		returned := false
		defer func() {
			if !returned {
				err = recovered(recover(), t)
			}
		}()
		t.reach(ctx)
		err = h(ctx, t)
		returned = true
		return err
	}
}

// callHooks calls hooks in order, and recovers their panics. If one calls runtime.Goexit the others
// are called all the same.
func (c *config) callHooks(ctx context.Context, what string, hooks []hook, t *Task) {
	if len(hooks) > 0 {
		defer c.callHooks(ctx, what, hooks[1:], t)
		c.callHook(ctx, what, hooks[0], t)
	}
}

func (c *config) callHook(ctx context.Context, what string, h hook, t *Task) {
	defer func() {
		if v := recover(); v != nil {
			err := recovered(v, t)
			c.line(ctx, slog.LevelError, "panic in the "+what+" hook of a middleware", func() []slog.Attr {
				return append(t.about(), t.errorAttrs(err)...)
			})
		}
	}()
	h(ctx, t)
}
