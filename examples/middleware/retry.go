package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/cenkalti/backoff/v5"

	"github.com/afterspan/afterspan/core"
)

// Retry calls a task up to tries times, until it succeeds, and pauses in between. newPauses is called once for each task, since
// a BackOff counts: func() backoff.BackOff { return backoff.NewExponentialBackOff() } is what most want.
//
// In the chain: further in than otelmw the task is one span, with the pauses in it, and its outcome is the last one's. Outside
// of otelmw each attempt is a span, from the second on with afterspan.task.attempt, and the pauses are in none. Rate limits
// and circuit breakers go further in, so that each attempt asks them.
//
// A panic is a bug and not tried again; nor is an error that the task marks with backoff.Permanent. Goexit cannot be. A
// cancel or the task's timeout ends the pause, and the error then has both: what ended it, and why the last attempt failed.
func Retry(tries uint, newPauses func() backoff.BackOff) core.Middleware {
	if tries == 0 { // which backoff takes for any number
		panic("middleware: Retry: tries is 0")
	}
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			var last error
			attempt := func() (struct{}, error) {
				if last = next(ctx, t); errors.As(last, new(*core.PanicError)) {
					return struct{}{}, backoff.Permanent(last)
				}
				return struct{}{}, last
			}
			_, err := backoff.Retry(ctx, attempt,
				backoff.WithMaxTries(tries), backoff.WithBackOff(newPauses()),
				backoff.WithMaxElapsedTime(0)) // the task's own timeout is the bound
			// The library returns the end of the context and keeps the attempt's error to itself.
			if err != nil && err == context.Cause(ctx) && !errors.Is(last, err) {
				err = fmt.Errorf("%w; the last attempt: %w", err, last)
			}
			return err
		}
	})
}
