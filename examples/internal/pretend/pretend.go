// Package pretend stands for work that the examples do not really do, such as the thinking of a
// language model.
package pretend

import (
	"context"
	"time"
)

// Work takes d, or until ctx is done. It then returns ctx's cause.
func Work(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
