package publisher

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/afterspan/afterspan/core"
)

// Bound calls f, and returns its error, or ctx's if ctx is done before f has returned. It is for adapters whose client does not
// look at ctx, or not all the time: f then goes on by itself, on a goroutine of its own, until the client gives up. A
// panic of f is an error.
func Bound(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return await(ctx, start(f))
}

// start calls f on a goroutine of its own, and returns where its error will be. A panic of f is its error, too.
func start(f func() error) <-chan error {
	returned := make(chan error, 1)
	go func() {
		err := core.ErrGoexit // stands if f does not return
		defer func() {
			if v := recover(); v != nil {
				err = &core.PanicError{Value: v, Stack: debug.Stack()}
			}
			returned <- err
		}()
		err = f()
	}()
	return returned
}

// await returns what arrives, or ctx's error if ctx is done and nothing has.
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
		return fmt.Errorf("has not returned: %w", ctx.Err())
	}
}
