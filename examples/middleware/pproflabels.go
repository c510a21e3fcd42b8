package middleware

import (
	"context"
	"runtime/pprof"

	"github.com/afterspan/afterspan/core"
)

// PprofLabels labels the goroutine of a task, and those that it starts, with the task's name and those of its attributes: CPU and
// goroutine profiles then say which tasks the time and the goroutines belong to. Take attributes with few values, since a
// profile has a sample for each.
//
// In the chain: as far out as you like; what is further in has the labels. Outermost, profiles count the cost of the
// middlewares as the task's.
//
// pprof.Do restores the labels on every way out: a return, a panic, Goexit. "The labels" are those of the context, so for what
// was started in a labelled request they are the request's. They are gone with the goroutine, right after the chain.
func PprofLabels(keys ...string) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) (err error) {
			labels := []string{"task", t.Name()}
			for _, key := range keys {
				if value, ok := attr(t, key); ok {
					labels = append(labels, key, value)
				}
			}
			pprof.Do(ctx, pprof.Labels(labels...), func(ctx context.Context) { err = next(ctx, t) })
			return err
		}
	})
}
