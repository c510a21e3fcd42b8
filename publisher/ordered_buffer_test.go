package publisher_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// fill publishes n events of a key, and returns the number of accepted ones.
func fill(t *testing.T, o *publisher.Ordered, key string, n int) (accepted int) {
	t.Helper()
	for range n {
		task := o.Go(t.Context(), small(key, ""))
		if task.Outcome() == core.Rejected {
			require.ErrorIs(t, task.Err(), core.ErrFull)
			continue
		}
		accepted++
	}
	return accepted
}

func TestABufferThatIsFullRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		opts   []publisher.OrderedOption
		perKey int // accepted events of one key; there are four keys
		total  int
	}{
		"per key":               {[]publisher.OrderedOption{publisher.WithBuffer(3, 0)}, 3, 12},
		"in all":                {[]publisher.OrderedOption{publisher.WithBuffer(0, 50)}, 20, 50},
		"both":                  {[]publisher.OrderedOption{publisher.WithBuffer(15, 40)}, 15, 40},
		"one alone":             {[]publisher.OrderedOption{publisher.WithBuffer(1, 0)}, 1, 4},
		"no limit":              {[]publisher.OrderedOption{publisher.WithBuffer(-1, -1)}, 20, 80},
		"the default, and nil":  {[]publisher.OrderedOption{nil}, 20, 80},
		"the last option stays": {[]publisher.OrderedOption{publisher.WithBuffer(1, 1), publisher.WithBuffer(2, 0)}, 2, 8},
	} {
		inBubble(t, name, func(t *testing.T) {
			m, release := newManager(), make(chan struct{})
			o := publisher.NewOrdered(m, hang(release), tc.opts...)
			assert.Equal(t, tc.perKey, fill(t, o, "t-0", 20))
			accepted := tc.perKey
			for k := range 3 {
				accepted += fill(t, o, fmt.Sprint("t-", k+1), 20)
			}
			assert.Equal(t, tc.total, accepted)
			assert.EqualValues(t, 80-tc.total, m.Stats().Rejected)
			close(release)
			require.NoError(t, m.Wait(t.Context()))
		})
	}
}

func TestRoomThatComesFreeIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink.slowly(time.Second), publisher.WithBuffer(2, 0))
		assert.Equal(t, 2, fill(t, o, "t-1", 3))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, 1, fill(t, o, "t-1", 3))
		require.NoError(t, m.Wait(t.Context()))
		assert.Len(t, sink.all(), 3)
	})
}

func TestBlockingWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, began := newManager(), &inbox{}, time.Now()
		o := publisher.NewOrdered(m, sink.slowly(time.Second), publisher.WithBuffer(2, 0), publisher.WithBlocking())
		for i := range 5 {
			o.Go(t.Context(), small("t-1", fmt.Sprint(i)))
		}
		assert.Equal(t, 3*time.Second, time.Since(began))
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, []string{"0", "1", "2", "3", "4"}, sink.contents())
	})
}

// The event is copied at the call, even if it has to wait for room.
func TestAnEventThatWaitsForRoomIsCopiedAlready(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, called := newManager(), &inbox{}, time.Now()
		o := publisher.NewOrdered(m, sink.slowly(time.Hour), publisher.WithBuffer(1, 0), publisher.WithBlocking())
		o.Go(t.Context(), small("t-1", "first"))
		e, change := changeable()
		want, _ := changeable()
		e.ThreadID, want.ThreadID, e.Timestamp = "t-1", "t-1", time.Time{}
		go o.Go(t.Context(), e)
		synctest.Wait()
		change()
		require.NoError(t, m.Wait(t.Context()))
		got := sink.all()[1]
		want.Sequence, want.Timestamp = 2, called.UTC()
		assert.Equal(t, toJSON(t, want), toJSON(t, got))
	})
}

func TestBlockingWaitsNoLongerThanItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, release, began := newManager(), make(chan struct{}), time.Now()
		o := publisher.NewOrdered(m, hang(release), publisher.WithBuffer(1, 0), publisher.WithBlocking())
		o.Go(t.Context(), small("t-1", ""))
		task := o.Go(within(t, time.Minute), small("t-1", ""))
		assert.Equal(t, time.Minute, time.Since(began))
		require.ErrorIs(t, task.Err(), core.ErrFull)
		require.ErrorIs(t, task.Err(), context.DeadlineExceeded)
		assertOutcome(t, core.Rejected, task)
		assert.EqualValues(t, 1, m.Stats().Rejected)
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// The task that publishes may itself hold the room that the event needs.
func TestBlockingDoesNotWaitInsideATask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, began := newManager(), time.Now()
		var o *publisher.Ordered
		o = publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
			if e.Content == "outer" {
				return o.Go(ctx, small("t-1", "inner")).Err()
			}
			return nil
		}), publisher.WithBuffer(1, 0), publisher.WithBlocking())
		task := o.Go(t.Context(), small("t-1", "outer"))
		require.ErrorIs(t, requireEnds(t, task), core.ErrFull)
		assert.Zero(t, time.Since(began))
	})
}

// A full key blocks only the callers of that key.
func TestBlockingOfAKeyHoldsUpNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, release := newManager(), &inbox{}, make(chan struct{})
		o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
			if e.Key() == "t-1" {
				<-release
			}
			return sink.Publish(ctx, e)
		}), publisher.WithBuffer(1, 0), publisher.WithBlocking())
		o.Go(t.Context(), small("t-1", ""))
		go o.Go(t.Context(), small("t-1", "waits"))
		synctest.Wait()
		o.Go(t.Context(), small("t-2", "passes"))
		synctest.Wait()
		assert.Equal(t, []string{"passes"}, sink.contents())
		close(release)
		require.NoError(t, m.Wait(t.Context()))
		assert.Len(t, sink.all(), 3)
	})
}
