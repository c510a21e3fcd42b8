package middleware

import (
	"cmp"
	"context"
	"fmt"

	"golang.org/x/time/rate"

	"github.com/afterspan/afterspan/core"
)

// RateLimit lets tasks begin no faster than limiter allows. The others wait for their turn, in the order in which they came.
//
// In the chain: further in than otelmw, whose span then shows the wait as a part of the run; further in than a retry, so
// that an attempt takes a token, too; outside of a circuit breaker, so that what it lets through to try is not held up after.
//
// A cancel or the task's timeout ends the wait. Where the limiter knows that the timeout comes first, it says so at once instead
// of waiting in vain: the task has not timed out yet, and so it fails. A token is spent when the task begins: one that
// panics or ends by Goexit has had it.
func RateLimit(limiter *rate.Limiter) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			if err := limiter.Wait(ctx); err != nil {
				// The cause tells a shutdown from a Cancel. There is none where the limiter did not want to wait.
				return fmt.Errorf("waiting for the rate limit: %w", cmp.Or(context.Cause(ctx), err))
			}
			return next(ctx, t)
		}
	})
}
