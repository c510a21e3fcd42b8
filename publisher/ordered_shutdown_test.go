package publisher_test

import (
	"context"
	"fmt"
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

// faults_test.go tests that a shutdown delivers the events that its time allows, and counts the
// rest.

func TestShutdownKeepsTheOrderWhileItDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink.slowly(time.Second))
		for range 15 {
			o.Go(t.Context(), small("t-1", ""))
		}
		stats, err := m.Shutdown(within(t, 30*time.Second))
		require.NoError(t, err)
		assert.Equal(t, 15, stats.CompletedTasks)
		assert.Len(t, sink.all(), 15)
		assert.IsIncreasing(t, sink.sequences("t-1"))
	})
}

// Every event either arrives or is in the figures, for any number of keys and any time.
func TestShutdownAccountsForEveryEvent(t *testing.T) {
	for _, tc := range []struct {
		keys, events int
		each, time   time.Duration
	}{
		{1, 20, time.Second, 10 * time.Second},
		{10, 20, time.Second, 10 * time.Second},
		{10, 2, time.Second, 10 * time.Second},
		{3, 50, 300 * time.Millisecond, time.Second},
		{5, 5, time.Hour, time.Second},
		{5, 5, time.Second, 0},
	} {
		inBubble(t, fmt.Sprintf("%+v", tc), func(t *testing.T) {
			m, sink := newManager(), &inbox{}
			o := publisher.NewOrdered(m, sink.slowly(tc.each))
			var tasks []*core.Task
			for i := range tc.keys * tc.events {
				tasks = append(tasks, o.Go(t.Context(), small(fmt.Sprint("t-", i%tc.keys), "")))
			}
			stats, err := m.Shutdown(within(t, tc.time))
			undelivered := len(tasks) - len(sink.all())
			assertLost(t, err, undelivered)
			assert.Equal(t, undelivered, stats.CancelledTasks+stats.RemainingTasks, "%+v", stats)
			assert.Equal(t, len(sink.all()), stats.CompletedTasks)
			for _, task := range tasks {
				if err := requireEnds(t, task); err != nil {
					require.ErrorIs(t, err, core.ErrShutdown)
					assertOutcome(t, core.Cancelled, task)
					undelivered--
				}
			}
			assert.Zero(t, undelivered)
		})
	}
}

// assertLost asserts that err, the error of a Shutdown, names want tasks that did not finish.
func assertLost(t *testing.T, err error, want int) {
	t.Helper()
	if want == 0 {
		assert.NoError(t, err)
		return
	}
	var lost *core.ShutdownError
	require.ErrorAs(t, err, &lost)
	assert.Equal(t, want, len(lost.Cancelled)+len(lost.Remaining), "%v", err)
}

func TestOrderedRefusesWhileTheManagerDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, release := newManager(), &inbox{}, make(chan struct{})
		o := publisher.NewOrdered(m, sink.until(release), publisher.WithBlocking(), publisher.WithBuffer(1, 0))
		o.Go(t.Context(), small("t-1", "accepted"))
		waits := make(chan *core.Task, 1)
		go func() { waits <- o.Go(context.Background(), small("t-1", "waits for room")) }()
		synctest.Wait()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, err := m.Shutdown(context.Background())
			assert.NoError(t, err)
		}()
		synctest.Wait()
		require.ErrorIs(t, (<-waits).Err(), core.ErrClosed)
		require.ErrorIs(t, o.Go(t.Context(), small("t-2", "late")).Err(), core.ErrClosed)
		close(release)
		<-ended
		assert.Equal(t, []string{"accepted"}, sink.contents())
		assert.EqualValues(t, 2, m.Stats().Rejected)
	})
}

// A task that is still running often publishes the last event of a run.
func TestATaskThatStillRunsMayPublishWhileTheManagerDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink)
		m.Go(t.Context(), "node", func(ctx context.Context) error {
			time.Sleep(time.Second)
			o.Go(ctx, small("t-1", "ordered"))
			publisher.Go(ctx, m, sink, small("t-1", "published"))
			return nil
		})
		stats, err := m.Shutdown(context.Background())
		require.NoError(t, err)
		assert.Equal(t, 2, stats.SpawnedTasks)
		assert.ElementsMatch(t, []string{"ordered", "published"}, sink.contents())
	})
}

func TestCloseDeliversNothingMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink.slowly(time.Second))
		var tasks []*core.Task
		for range 5 {
			tasks = append(tasks, o.Go(t.Context(), small("t-1", "")))
		}
		synctest.Wait()
		require.NoError(t, m.Close())
		assert.Empty(t, sink.all())
		for _, task := range tasks {
			assertOutcome(t, core.Cancelled, task)
		}
		assert.EqualValues(t, 5, m.Stats().Cancelled)
	})
}

// A shutdown also ends a retry.
func TestShutdownEndsARetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		o := publisher.NewOrdered(m, publisher.Func(fail), publisher.WithRetry(every(time.Second, -1)))
		task := o.Go(t.Context(), small("t-1", ""))
		stats, err := m.Shutdown(within(t, 10*time.Second))
		assertLost(t, err, 1)
		assert.Equal(t, 5*time.Second, stats.Duration)
		assert.Equal(t, 1, stats.CancelledTasks)
		require.ErrorIs(t, task.Err(), core.ErrShutdown)
	})
}

// This test runs in real time, on all processors. Its callers publish until they are refused.
func TestShutdownAmidManyCallersLosesNothingThatWasAccepted(t *testing.T) {
	const callers = 8
	m, sink := newManager(), &inbox{}
	o := publisher.NewOrdered(m, sink)
	accepted := make([]int, callers)
	var begun, ended sync.WaitGroup
	for c := range callers {
		begun.Add(1)
		ended.Go(func() {
			for {
				if task := o.Go(context.Background(), small(fmt.Sprint("t-", c), "")); task.ID() == 0 {
					assert.ErrorIs(t, task.Err(), core.ErrClosed)
					return
				}
				if accepted[c]++; accepted[c] == 20 {
					begun.Done()
				}
				for accepted[c] > 900 && m.Stats().Queued > 0 { // below the buffer's limit
					runtime.Gosched()
				}
			}
		})
	}
	begun.Wait()
	stats, err := m.Shutdown(context.Background())
	require.NoError(t, err)
	assert.Zero(t, stats.CancelledTasks+stats.RemainingTasks+stats.FailedTasks)
	ended.Wait()
	for c := range callers {
		got := sink.sequences(fmt.Sprint("t-", c))
		assert.Len(t, got, accepted[c])
		assert.IsIncreasing(t, got)
	}
}
