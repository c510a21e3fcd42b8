package publisher

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/afterspan/afterspan/core"
)

// Bound calls f and returns its error, or ctx's error if ctx is done before f returns. It is for
// adapters whose client does not always look at ctx. f runs on a goroutine of its own, which Bound
// leaves behind if ctx is done first; it ends when f returns. If ctx is done already, f is not
// called. A panic of f is returned as an error, a [Permanent] one: another call would only panic again.
func Bound(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return await(ctx, start(f))
}

// start calls f on a new goroutine and returns the channel that receives f's error. A panic and
// runtime.Goexit are permanent errors.
func start(f func() error) <-chan error {
	returned := make(chan error, 1)
	go func() {
		err := Permanent(core.ErrGoexit) // stays if f calls runtime.Goexit
		defer func() {
			if v := recover(); v != nil {
				err = Permanent(&core.PanicError{Value: v, Stack: debug.Stack()})
			}
			returned <- err
		}()
		err = f()
	}()
	return returned
}

// await returns the error from returned, or ctx's error if that comes first. If both are ready, it
// returns the former.
func await(ctx context.Context, returned <-chan error) error {
	select {
	case err := <-returned:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-returned:
		return err
	default:
		return fmt.Errorf("the call has not returned: %w", ctx.Err())
	}
}
