package core

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A timer may have fired when it is stopped, and its goroutine comes later. It must not take itself
// for the timer that was set meanwhile: that one would be left after the end of a shutdown.
func TestLateTimerOfTheRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r refusals
		var fired atomic.Int32
		nextAfter := func(d time.Duration) (suppressed uint64, say bool) {
			time.Sleep(d)
			return r.next(time.Now(), func() { fired.Add(1) })
		}
		_, say := nextAfter(0)
		require.True(t, say)
		_, say = nextAfter(0) // sets a timer
		require.False(t, say)
		suppressed, say := nextAfter(time.Second + 1) // the timer has fired, and its goroutine has not called fire
		require.True(t, say)
		require.EqualValues(t, 1, suppressed)
		require.True(t, r.isFiring())
		_, say = nextAfter(time.Second / 2) // sets another
		require.False(t, say)

		require.Zero(t, r.fire(time.Now()), "the first timer, which is late")
		require.False(t, r.isFiring())
		require.EqualValues(t, 1, r.close(time.Now()))
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, fired.Load(), "the second timer was stopped")
	})
}
