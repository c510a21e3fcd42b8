package publisher_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// These tests show the order of Ordered. ordered_buffer_test.go shows its buffer, and
// ordered_shutdown_test.go its shutdown.

// Each key has its own caller. Its events take random times to publish, and some of them fail.
func TestEventsOfAKeyArriveInOrderWhateverTheyTake(t *testing.T) {
	for seed := range uint64(5) {
		inBubble(t, fmt.Sprint("seed ", seed), func(t *testing.T) {
			const keys, events = 30, 20
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 0))
			random := func(most time.Duration) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return time.Duration(r.Int64N(int64(most)))
			}
			m, sink, busy := newManager(), &inbox{}, sync.Map{}
			o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
				_, overlaps := busy.LoadOrStore(e.Key(), true)
				assert.False(t, overlaps, "two events of %s at a time", e.Key())
				defer busy.Delete(e.Key())
				time.Sleep(random(time.Second))
				if random(10) == 0 {
					return errBroker
				}
				return sink.Publish(ctx, e)
			}))
			var callers sync.WaitGroup
			for k := range keys {
				callers.Go(func() {
					for i := range events {
						time.Sleep(random(time.Second))
						o.Go(t.Context(), small(fmt.Sprint("t-", k), fmt.Sprint(i+1)))
					}
				})
			}
			callers.Wait()
			require.NoError(t, m.Wait(t.Context()))
			for _, e := range sink.all() {
				assert.Equal(t, e.Content, fmt.Sprint(e.Sequence), e.Key())
			}
			for k := range keys {
				assert.IsIncreasing(t, append([]uint64{0}, sink.sequences(fmt.Sprint("t-", k))...))
			}
			assert.Equal(t, keys*events, len(sink.all())+int(m.Stats().Failed))
		})
	}
}

// The events of many callers arrive in the order in which the manager accepted them. The ids of the
// tasks show that order.
func TestEventsOfManyCallersArriveInTheOrderOfAcceptance(t *testing.T) {
	const callers, events = 16, 40
	m, sink := newManager(), &inbox{}
	o := publisher.NewOrdered(m, sink)
	ids := make(map[string]uint64)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range events {
				content := fmt.Sprint(c, "/", i)
				task := o.Go(t.Context(), small("t-1", content))
				mu.Lock()
				ids[content] = task.ID()
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NoError(t, m.Wait(t.Context()))
	order := []uint64{}
	for i, e := range sink.all() {
		order = append(order, ids[e.Content])
		require.EqualValues(t, i+1, e.Sequence)
	}
	assert.Len(t, order, callers*events)
	assert.IsIncreasing(t, order)
}

// The key is the thread, or else the run.
func TestKeysGoSideBySide(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, began := newManager(), &inbox{}, time.Now()
		o := publisher.NewOrdered(m, sink.slowly(time.Second))
		for range 3 {
			o.Go(t.Context(), small("t-1", ""))
			o.Go(t.Context(), small("t-2", ""))
			o.Go(t.Context(), publisher.Event{Kind: "k", Type: "t", RunID: "r-1"})
		}
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, 3*time.Second, time.Since(began))
		assert.Len(t, sink.all(), 9)
	})
}

func TestEventsWithoutAKeyGoSideBySide(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, began := newManager(), &inbox{}, time.Now()
		o := publisher.NewOrdered(m, sink.slowly(time.Second))
		for range 100 {
			o.Go(t.Context(), small("", ""))
		}
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, time.Second, time.Since(began))
		assert.Len(t, sink.all(), 100)
	})
}

func TestABusyKeyHasOneGoroutineAndAnIdleOneNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const keys, events = 7, 50
		before := settled()
		m, release := newManager(), make(chan struct{})
		o := publisher.NewOrdered(m, hang(release))
		for range events {
			for k := range keys {
				o.Go(t.Context(), small(fmt.Sprint("t-", k), ""))
			}
		}
		synctest.Wait()
		assert.Equal(t, before+keys, goroutines())
		assert.Equal(t, keys, m.Stats().Running)
		assert.Equal(t, keys*(events-1), m.Stats().Queued)
		close(release)
		require.NoError(t, m.Wait(t.Context()))
		synctest.Wait()
		assert.Equal(t, before, goroutines())
	})
}

func TestTheNextGoesOnAfterOneThatFailed(t *testing.T) {
	for name, lose := range map[string]publisher.Func{
		"an error":  fail,
		"a panic":   func(context.Context, publisher.Event) error { panic("no") },
		"Goexit":    func(context.Context, publisher.Event) error { runtime.Goexit(); return nil },
		"a timeout": obey,
	} {
		inBubble(t, name, func(t *testing.T) {
			m, sink := newManager(), &inbox{}
			o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
				if e.Content == "lost" {
					return lose(ctx, e)
				}
				return sink.Publish(ctx, e)
			}))
			o.Go(t.Context(), small("t-1", "a"))
			lost := o.Go(t.Context(), small("t-1", "lost"), core.WithTimeout(time.Second))
			o.Go(t.Context(), small("t-1", "b"))
			require.NoError(t, m.Wait(t.Context()))
			require.Error(t, lost.Err())
			assert.Equal(t, []string{"a", "b"}, sink.contents())
			assert.Equal(t, []uint64{1, 3}, sink.sequences("t-1"), "the gap tells consumers that an event is missing")
		})
	}
}

func TestAQueuedEventCanBeCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, release := newManager(), &inbox{}, make(chan struct{})
		o := publisher.NewOrdered(m, sink.until(release))
		o.Go(t.Context(), small("t-1", "a"))
		gone := o.Go(t.Context(), small("t-1", "cancelled"))
		o.Go(t.Context(), small("t-1", "b"))
		synctest.Wait()
		gone.Cancel()
		require.ErrorIs(t, requireEnds(t, gone), core.ErrCancelled)
		assertOutcome(t, core.Cancelled, gone)
		close(release)
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, []string{"a", "b"}, sink.contents())
		assert.Equal(t, []uint64{1, 2}, sink.sequences("t-1"))
	})
}

func TestATimeoutCountsFromTheEventsTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink.slowly(time.Minute))
		for range 10 {
			o.Go(t.Context(), small("t-1", ""), core.WithTimeout(61*time.Second))
		}
		require.NoError(t, m.Wait(t.Context()))
		assert.Len(t, sink.all(), 10)
		assert.EqualValues(t, 10, m.Stats().Completed)
	})
}

// An event that is not valid fails when its turn comes, and does not delay the next one.
func TestAnEventThatIsNotValidKeepsItsPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink.slowly(time.Second))
		o.Go(t.Context(), small("t-1", "a"))
		bad := o.Go(t.Context(), publisher.Event{ThreadID: "t-1"})
		o.Go(t.Context(), small("t-1", "b"))
		require.NoError(t, m.Wait(t.Context()))
		assertOutcome(t, core.Failed, bad)
		assert.Equal(t, []string{"a", "b"}, sink.contents())
	})
}

// The manager has two slots. All other events wait in its queue.
func TestOrderIsKeptInAManagerWithALimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const keys, events = 5, 10
		m, sink := newManager(core.WithLimit(2, -1)), &inbox{}
		o := publisher.NewOrdered(m, sink.slowly(time.Second))
		for range events {
			for k := range keys {
				o.Go(t.Context(), small(fmt.Sprint("t-", k), ""))
			}
		}
		synctest.Wait()
		assert.Equal(t, 2, m.Stats().Running)
		require.NoError(t, m.Wait(t.Context()))
		for k := range keys {
			got := sink.sequences(fmt.Sprint("t-", k))
			assert.Len(t, got, events)
			assert.IsIncreasing(t, got)
		}
	})
}

// Each Ordered keeps only its own events in order.
func TestTwoOrderedDoNotWaitForEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, release := newManager(), &inbox{}, make(chan struct{})
		publisher.NewOrdered(m, hang(release)).Go(t.Context(), small("t-1", ""))
		publisher.NewOrdered(m, sink).Go(t.Context(), small("t-1", "passes"))
		synctest.Wait()
		assert.Equal(t, []string{"passes"}, sink.contents())
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// An event waits only in the line of its own key.
func TestAKeyOfTheCallersDoesNotChangeTheOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink.slowly(time.Second))
		for range 3 {
			o.Go(t.Context(), small("t-1", ""), core.WithKey(&core.Keyed{}, "another"))
		}
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, []uint64{1, 2, 3}, sink.sequences("t-1"))
	})
}
