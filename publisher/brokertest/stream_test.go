package brokertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// The stream has this many ordered events. Servers are killed at random moments while it is
// published.
const (
	streamKeys   = 200
	streamEvents = 10_000
)

// publishThroughKills publishes the stream with p. It kills and restarts the server at random
// moments of the stream, and requires that each event is acknowledged in the end.
func publishThroughKills(t *testing.T, p publisher.Publisher, server *process, kills int) {
	t.Helper()
	m := core.New()
	ordered := publisher.NewOrdered(m, p, publisher.WithBuffer(0, 0), publisher.WithRetry(untilDelivered))
	began := time.Now()
	for i := range streamEvents {
		ordered.Go(t.Context(), publisher.Event{
			ID:   fmt.Sprint("event-", i),
			Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress,
			ThreadID: fmt.Sprint("thread-", i%streamKeys),
			Data:     map[string]any{"n": i},
		})
	}
	for _, moment := range randomMoments(kills) {
		awaitCompleted(t, m, moment)
		server.kill(t)
		time.Sleep(rand.N(200 * time.Millisecond)) // the server is away for a random time
		server.start(t)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	stats, err := m.Shutdown(ctx)
	require.NoError(t, err)
	require.EqualValues(t, streamEvents, m.Stats().Completed, "acknowledged, after %+v", stats)
	t.Logf("%d events of %d keys acknowledged in %v, through %d kills", streamEvents, streamKeys, time.Since(began).Round(time.Millisecond), kills)
}

// untilDelivered retries until an attempt succeeds, fails for good, or ctx is done.
func untilDelivered(ctx context.Context, publish func(context.Context) error) error {
	attempt := func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // a connection can die in silence
		defer cancel()
		err := publish(ctx)
		if publisher.IsPermanent(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 10*time.Millisecond, 200*time.Millisecond
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0))
	return err
}

// randomMoments returns n moments, spread over the stream. A moment is a number of acknowledged
// events.
func randomMoments(n int) []uint64 {
	moments := make([]uint64, n)
	part := streamEvents * 9 / 10 / n
	for i := range moments {
		moments[i] = uint64(i*part + rand.IntN(part))
	}
	return moments
}

func awaitCompleted(t *testing.T, m *core.Manager, n uint64) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for m.Stats().Completed < n {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("after two minutes: %+v", m.Stats())
		}
	}
}

// requireWhole requires that the whole stream has arrived. Duplicates, which it knows by their ID,
// are allowed. Without them, the events of each key must be in order.
func requireWhole(t *testing.T, arrived []publisher.Event) {
	t.Helper()
	seen := make(map[string]bool)
	last := make(map[string]float64)
	duplicates, reordered := 0, 0
	for _, e := range arrived {
		if seen[e.ID] {
			duplicates++
			continue
		}
		seen[e.ID] = true
		n := e.Data["n"].(float64)
		if previous, known := last[e.ThreadID]; known && n != previous+streamKeys || !known && n >= streamKeys {
			reordered++
		}
		last[e.ThreadID] = n
	}
	t.Logf("%d arrived: %d lost, %d reordered, %d duplicates", len(arrived), streamEvents-len(seen), reordered, duplicates)
	require.Len(t, seen, streamEvents, "acknowledged events that arrived")
	require.Zero(t, reordered)
}
