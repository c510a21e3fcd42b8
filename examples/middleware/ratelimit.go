package middleware

import (
	"context"
	"fmt"

	"golang.org/x/time/rate"

	"github.com/afterspan/afterspan/core"
)

// RateLimit lets tasks begin no faster than limiter allows. The others wait, in the order in which they
// came.
//
// In the chain: inside otelmw, whose span then shows the wait as part of the run. Inside a retry, so
// that each attempt takes a token. Outside a circuit breaker, so that a task that a half-open breaker
// lets through is not held up after that.
//
// A cancel or the task's timeout ends the wait. If the timeout would come before the task's turn,
// RateLimit does not wait: it refuses the task, with an error that matches [core.ErrRejected]. A token
// is spent when the task begins, even if it panics or ends by Goexit.
func RateLimit(limiter *rate.Limiter) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			err := limiter.Wait(ctx)
			if err == nil {
				return next(ctx, t)
			}
			if cause := context.Cause(ctx); cause != nil { // it tells a shutdown from a Cancel
				return fmt.Errorf("waiting for the rate limit: %w", cause)
			}
			return fmt.Errorf("%w: %w", core.ErrRejected, err)
		}
	})
}
