package main

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The code by hand does what it is measured for.
func TestByHand(t *testing.T) {
	r := newRegistry(quiet)
	request, cancel := context.WithCancel(context.Background())
	cancel() // the request is over: its tasks go on
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fail := func(context.Context) error { return errors.New("no") }
	exit := func(context.Context) error { runtime.Goexit(); return nil }

	require.NoError(t, r.Go(request, "fine", 0, empty))
	require.NoError(t, r.Go(request, "fails", 0, fail))
	require.NoError(t, r.Go(request, "panics", 0, func(context.Context) error { panic("no") }))
	require.NoError(t, r.Go(request, "exits", 0, exit))
	require.NoError(t, r.Go(request, "slow", time.Millisecond, wait))
	r.wg.Wait()
	require.NoError(t, r.Go(request, "first", 0, wait))
	require.NoError(t, r.Go(request, "second", 0, wait))
	list := r.list()
	require.Len(t, list, 2)
	require.Equal(t, "first", list[0].Name)

	r.shutdown()
	require.Empty(t, r.list())
	require.Equal(t, counters{completed: 1, failed: 3, cancelled: 2, timedOut: 1}, r.ended)
	require.ErrorIs(t, r.Go(request, "late", 0, empty), errClosed)
}
