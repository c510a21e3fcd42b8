package publisher

import (
	"context"
	"errors"
	"fmt"
)

// errNotTried is the error of an event whose RetryFunc did not call publish.
var errNotTried = errors.New("publisher: the RetryFunc returned without calling publish")

// tryAgain calls try through retry, until an attempt succeeds, an attempt fails for good, or retry
// gives up.
func tryAgain(ctx context.Context, retry RetryFunc, try func(context.Context) error) error {
	trying, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	last := errNotTried
	err := Redact(retry(trying, func(ctx context.Context) error {
		if IsPermanent(last) {
			return last // retry did not give up
		}
		if last = try(ctx); IsPermanent(last) {
			stop(last)
		}
		return last
	}))
	switch {
	case err == nil: // the last attempt decides, not the RetryFunc
		return last
	case last == nil, errors.Is(err, last), ctx.Err() == nil && !IsPermanent(last):
		return err
	case ctx.Err() == nil: // err says only that the retry was stopped
		return last
	default: // err may say only that the retry was interrupted, not why the attempt failed
		return fmt.Errorf("%w; the last attempt: %w", err, last)
	}
}
