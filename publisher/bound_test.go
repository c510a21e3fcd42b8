package publisher_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

func TestBoundReturnsWhatTheCallReturns(t *testing.T) {
	require.NoError(t, publisher.Bound(t.Context(), func() error { return nil }))
	require.Same(t, errBroker, publisher.Bound(t.Context(), func() error { return errBroker }))
}

func TestBoundReturnsWhenItsContextIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release, began := make(chan struct{}), time.Now()
		err := publisher.Bound(within(t, time.Minute), func() error { <-release; return nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "has not returned")
		assert.Equal(t, time.Minute, time.Since(began))
		close(release) // ends the call, whose goroutine would make the bubble fail
	})
}

func TestBoundDoesNotCallWhenItsContextIsDoneAlready(t *testing.T) {
	err := publisher.Bound(cancelled(), func() error { t.Error("the function was called"); return nil })
	require.Same(t, context.Canceled, err)
}

func TestBoundMakesErrorsOfPanicsAndGoexit(t *testing.T) {
	err := publisher.Bound(t.Context(), func() error { panic(errBroker) })
	var panicked *core.PanicError
	require.ErrorAs(t, err, &panicked)
	require.ErrorIs(t, err, errBroker)
	assert.Contains(t, string(panicked.Stack), "bound_test.go")

	err = publisher.Bound(t.Context(), func() error { runtime.Goexit(); return nil })
	require.ErrorIs(t, err, core.ErrGoexit)
	require.Error(t, publisher.Bound(t.Context(), nil))
	var nilPanic *runtime.PanicNilError
	require.ErrorAs(t, publisher.Bound(t.Context(), func() error { panic(nil) }), &nilPanic)
}

// If the call returns at the moment at which the context ends, its result counts.
func TestBoundPrefersTheResultToTheEndOfTheContext(t *testing.T) {
	for range 50 {
		bubble(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			release, returned := make(chan struct{}), make(chan error)
			go func() { returned <- publisher.Bound(ctx, func() error { <-release; return nil }) }()
			synctest.Wait()
			go func() { close(release); runtime.Gosched(); cancel(errors.New("too late")) }()
			err := <-returned
			if err != nil { // the call's goroutine had not run yet
				require.ErrorIs(t, err, context.Canceled)
			}
		})
	}
}
