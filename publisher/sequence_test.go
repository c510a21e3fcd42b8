package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

// key returns a key that no other test uses, since the function Go counts for the whole
// process.
func key() string { return uuid.NewString() }

func TestSequenceOfGoCountsTheCallsOfAKeyFrom1(t *testing.T) {
	m, sink, a, b := newManager(), &inbox{}, key(), key()
	for i := range 10 {
		publisher.Go(t.Context(), m, sink, small(a, fmt.Sprint(i+1)))
		publisher.Go(t.Context(), m, sink, publisher.Event{Kind: "k", Type: "t", RunID: b, Content: fmt.Sprint(i + 1)})
	}
	require.NoError(t, m.Wait(t.Context()))
	for _, e := range sink.all() { // in any order
		assert.Equal(t, e.Content, fmt.Sprint(e.Sequence))
	}
}

// One sequence counts the events of all managers and publishers.
func TestSequenceOfGoIsOneForTheProcess(t *testing.T) {
	sink, k := &inbox{}, key()
	for range 3 {
		_, err := publish(t, sink, small(k, ""))
		require.NoError(t, err)
	}
	assert.Equal(t, []uint64{1, 2, 3}, sink.sequences(k))
}

func TestSequenceOfManyCallersHasNoGapAndNoDouble(t *testing.T) {
	const callers, events = 16, 50
	m, sink, k := newManager(), &inbox{}, key()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range events {
				publisher.Go(t.Context(), m, sink, small(k, ""))
			}
		})
	}
	wg.Wait()
	require.NoError(t, m.Wait(t.Context()))
	seen := make(map[uint64]bool)
	for _, n := range sink.sequences(k) {
		seen[n] = true
	}
	assert.Len(t, seen, callers*events)
	assert.True(t, seen[1] && seen[callers*events])
}

func TestEventsWithoutAKeyHaveNoSequence(t *testing.T) {
	m, sink := newManager(), &inbox{}
	publisher.Go(t.Context(), m, sink, small("", ""))
	publisher.NewOrdered(m, sink).Go(t.Context(), small("", ""))
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, []uint64{0, 0}, sink.sequences(""))
}

func TestSequenceThatIsSetStaysAndIsNotCounted(t *testing.T) {
	m, sink, k := newManager(), &inbox{}, key()
	o := publisher.NewOrdered(m, sink)
	for _, n := range []uint64{0, 100, 0} {
		e := small(k, "")
		e.Sequence = n
		o.Go(t.Context(), e)
	}
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, []uint64{1, 100, 2}, sink.sequences(k))
}

func TestEventThatIsNotValidTakesNoNumber(t *testing.T) {
	m, sink, k := newManager(), &inbox{}, key()
	bad := small(k, "")
	bad.Data = map[string]any{"x": make(chan int)}
	publisher.Go(t.Context(), m, sink, bad)
	publisher.Go(t.Context(), m, sink, publisher.Event{ThreadID: k})
	publisher.Go(t.Context(), m, sink, small(k, ""))
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, []uint64{1}, sink.sequences(k))
}

// Events that are refused, or cancelled while they wait, take no number. Events that fail take one.
func TestSequenceOfOrderedCountsWhatIsHandedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, release := newManager(), &inbox{}, make(chan struct{})
		o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
			<-release
			return errors.Join(sink.Publish(ctx, e), errBroker)
		}), publisher.WithBuffer(3, 0))
		o.Go(t.Context(), small("t-1", "failed"))
		o.Go(t.Context(), small("t-1", "cancelled")).Cancel()
		synctest.Wait()
		o.Go(t.Context(), small("t-1", "b"))
		o.Go(t.Context(), small("t-1", "c"))
		o.Go(t.Context(), small("t-1", "refused"))
		close(release)
		require.NoError(t, m.Wait(t.Context()))
		o.Go(t.Context(), small("t-1", "d"))
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, []string{"failed", "b", "c", "d"}, sink.contents())
		assert.Equal(t, []uint64{1, 2, 3, 4}, sink.sequences("t-1"))
	})
}

func TestEachOrderedCountsForItself(t *testing.T) {
	m, a, b := newManager(), &inbox{}, &inbox{}
	first, second := publisher.NewOrdered(m, a), publisher.NewOrdered(m, b)
	for range 3 {
		first.Go(t.Context(), small("t-1", ""))
		second.Go(t.Context(), small("t-1", ""))
	}
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, []uint64{1, 2, 3}, a.sequences("t-1"))
	assert.Equal(t, []uint64{1, 2, 3}, b.sequences("t-1"))
}
