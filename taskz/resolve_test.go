package taskz_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Attributes of running tasks whose methods do not return.

// A locked value takes the lock that its task holds, and counts its calls.
type locked struct {
	lock  chan struct{} // it has the lock who has sent to it
	calls *atomic.Int64
}

func newLocked() locked { return locked{make(chan struct{}, 1), new(atomic.Int64)} }

func (l locked) LogValue() slog.Value {
	l.calls.Add(1)
	l.lock <- struct{}{}
	<-l.lock
	return slog.StringValue("resolved")
}

func (l locked) String() string { return l.LogValue().String() }

// lockedError is a value whose Error method takes the lock.
type lockedError struct{ locked }

func (l lockedError) Error() string { return l.String() }

// holdUntil returns a Func that holds the lock until release is closed.
func (l locked) holdUntil(release <-chan struct{}) core.Func {
	return func(context.Context) error {
		l.lock <- struct{}{}
		<-release
		<-l.lock
		return nil
	}
}

const doesNotReturn = "(LogValue does not return)"

// A reader finds the task that hangs although the task holds the lock that its attributes need, and so do the
// readers after it. The attributes are asked for once.
func TestValueThatTakesTheLockOfItsTask(t *testing.T) {
	for name, value := range map[string]func(locked) slog.Value{
		"LogValue": func(l locked) slog.Value { return slog.AnyValue(l) },
		"group":    func(l locked) slog.Value { return slog.GroupValue(slog.Any("x", l)) },
		"Stringer": func(l locked) slog.Value { return slog.AnyValue(struct{ fmt.Stringer }{l}) },
		"error":    func(l locked) slog.Value { return slog.AnyValue(error(lockedError{l})) },
	} {
		inBubble(t, name, func(t *testing.T) {
			s, l, release := newService(t), newLocked(), make(chan struct{})
			s.start("send", l.holdUntil(release), order("o-7"), core.WithAttrs(slog.Attr{Key: "v", Value: value(l)}))
			synctest.Wait()
			for i, target := range []string{"?format=json", "?format=json&q=o-7", "1?format=json", "?format=text", "?format=json"} {
				began := time.Now()
				w := s.get(target)
				require.Equal(t, http.StatusOK, w.Code, target)
				require.Contains(t, w.Body.String(), doesNotReturn)
				require.Contains(t, w.Body.String(), "o-7", "other attributes are shown")
				require.LessOrEqual(t, time.Since(began), 100*time.Millisecond)
				require.True(t, i == 0 || time.Since(began) == 0, "only the first reader waits")
			}
			require.EqualValues(t, 1, l.calls.Load())
			close(release)
			require.NoError(t, s.tasks.Wait(t.Context()))
		})
	}
}

// A value that returns late is asked for again.
func TestValueThatReturnsLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, l := newService(t), newLocked()
		l.lock <- struct{}{}
		s.start("send", during(time.Hour), core.WithAttrs(slog.Any("v", l)))
		synctest.Wait()
		require.Contains(t, s.get("1").Body.String(), doesNotReturn)
		<-l.lock
		synctest.Wait()
		require.Contains(t, s.get("1").Body.String(), "resolved")
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// However many values hang, and however many readers there are, a few goroutines are left behind.
func TestManyValuesThatDoNotReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, l, release := newService(t), newLocked(), make(chan struct{})
		s.start("holds", l.holdUntil(release))
		for range 50 {
			s.start("send", func(context.Context) error { <-release; return nil }, core.WithAttrs(slog.Any("v", l)))
		}
		synctest.Wait()
		before := runtime.NumGoroutine()
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { require.Equal(t, http.StatusOK, s.get(fmt.Sprintf("?format=json&limit=%d", 100+i)).Code) })
		}
		wg.Wait()
		require.Less(t, time.Since(began), 2*time.Second)
		require.LessOrEqual(t, l.calls.Load(), int64(8))
		require.Less(t, runtime.NumGoroutine(), before+30) // the runtime counts roughly while goroutines end
		require.Contains(t, s.get("").Body.String(), "(not asked: other LogValue methods take too long)")
		close(release)
		require.NoError(t, s.tasks.Wait(t.Context()))
		synctest.Wait()
	})
}

// slow takes 90 ms to resolve.
type slow struct{}

func (slow) LogValue() slog.Value {
	time.Sleep(90 * time.Millisecond)
	return slog.StringValue("resolved")
}

// An answer is bounded also if each of many values is just fast enough.
func TestManySlowValues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		for range 100 {
			s.start("send", during(time.Hour), core.WithAttrs(slog.Any("v", slow{})))
		}
		synctest.Wait()
		began := time.Now()
		body := s.get("").Body.String()
		require.Less(t, time.Since(began), 2200*time.Millisecond)
		require.Contains(t, body, "v=resolved")
		require.Contains(t, body, "(not asked")
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// exiting ends its goroutine.
type exiting struct{}

func (exiting) LogValue() slog.Value { runtime.Goexit(); return slog.Value{} }

func TestValueThatEndsItsGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		release := make(chan struct{})
		task := s.start("send", func(context.Context) error { <-release; return errors.New("x") }, core.WithAttrs(slog.Any("v", exiting{})))
		synctest.Wait()
		require.Contains(t, s.get("1").Body.String(), doesNotReturn)
		close(release)
		<-task.Done()
	})
}
