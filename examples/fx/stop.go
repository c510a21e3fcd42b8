package main

import (
	"context"
	"time"
)

// share returns ctx with n of m parts of the time that it has left.
//
// All the hooks of a stop have one context and one deadline. A hook that uses up all of it leaves nothing to the others: fx does
// not even call them, and Stop returns the context's error instead of the hook's, which said why.
func share(ctx context.Context, n, m time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*n/m)
}
