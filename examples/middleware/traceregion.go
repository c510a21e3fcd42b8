package middleware

import (
	"context"
	"runtime/trace"

	"github.com/afterspan/afterspan/core"
)

// TraceRegion shows each run in the execution tracer (go tool trace): as a task, which all regions belong to that the Func
// opens with its context, also on goroutines of its own, and as a region "run" on the goroutine of the task. It costs
// next to nothing while nobody traces.
//
// In the chain: inside a retry each attempt is a task, outside of one all are one. It does not mind where otelmw is. A region
// has to end on the goroutine that it began on. Here that is the task's, whatever those further in do: a middleware that
// calls next on another goroutine has this region around its wait.
//
// Panics arrive as errors. After Goexit, the deferred calls end both. What the run came to is logged into the trace.
func TraceRegion() core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			ctx, task := trace.NewTask(ctx, t.Name())
			defer task.End()
			defer trace.StartRegion(ctx, "run").End()
			err := core.ErrGoexit // stands if next does not return
			defer func() { trace.Log(ctx, "outcome", t.OutcomeOf(err).String()) }()
			err = next(ctx, t)
			return err
		}
	})
}
