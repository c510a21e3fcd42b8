package middleware

import (
	"context"
	"fmt"

	"github.com/afterspan/afterspan/core"
)

// StoreCancelled calls store for each task that a Shutdown or Close cancelled, so that its work can be
// done later: by the next process, or by a person. That includes tasks that were still queued.
//
// A task's function cannot be stored. store writes down the task's name and attributes, for example as
// the JSON of [core.Task.Info], so everything that is needed to start the task again has to be in its
// attributes.
//
// The context of store has the task's values and no cancellation. store has to be quick: after the
// time of [core.WithCancelGrace] the process ends. Its error is added to the task's.
//
// In the chain: inside otelmw, so that spans of store belong to the task. Outside a retry, so that store
// is called once.
//
// Tasks that were cancelled for another reason are not stored, nor are tasks that completed although
// they were cancelled. A task that does not stop never gets here: see Abandoned of [core.Middleware]. A
// task that is [core.UntilShutdown] ends with the same cause, so store has to know such tasks by name.
func StoreCancelled(store func(ctx context.Context, t *core.Task) error) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			err := next(ctx, t)
			if t.OutcomeOf(err) != core.Cancelled || context.Cause(ctx) != core.ErrShutdown {
				return err
			}
			if failed := store(context.WithoutCancel(ctx), t); failed != nil {
				err = fmt.Errorf("%w; it was not stored: %w", err, failed)
			}
			return err
		}
	})
}
