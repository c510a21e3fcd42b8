package publisher_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

func TestKeyIsTheThreadOrElseTheRun(t *testing.T) {
	for _, tc := range []struct {
		event publisher.Event
		want  string
	}{
		{publisher.Event{}, ""},
		{publisher.Event{ThreadID: "t"}, "t"},
		{publisher.Event{RunID: "r"}, "run:r"},
		{publisher.Event{ThreadID: "t", RunID: "r"}, "t"},
		{publisher.Event{NodeName: "n", UserID: "u", ID: "i"}, ""},
	} {
		assert.Equal(t, tc.want, tc.event.Key(), "%+v", tc.event)
	}
}

// A ThreadID may be anything, also the key of a run.
func TestNoTwoThreadsOrRunsShareAKey(t *testing.T) {
	owner := make(map[string]publisher.Event)
	for _, id := range []string{
		"1", "run:1", "thread:1", "event:1", "thread:run:1", "run:run:1", "thread:thread:1", "run:", "thread:", "event:", "run", "Run:1",
	} {
		for _, e := range []publisher.Event{{ThreadID: id}, {RunID: id}} {
			assert.NotContains(t, owner, e.Key(), "%+v", e)
			owner[e.Key()] = e
		}
	}
}

func TestThread1AndRun1AreNotTheSameKey(t *testing.T) {
	m, sink := newManager(), &inbox{}
	thread, run := small("1", "thread"), small("", "run")
	run.RunID = "1"
	o := publisher.NewOrdered(m, sink)
	for range 2 {
		o.Go(t.Context(), thread)
		o.Go(t.Context(), run)
	}
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, []uint64{1, 2}, sink.sequences(thread.Key()))
	assert.Equal(t, []uint64{1, 2}, sink.sequences(run.Key()))
}

// An event without a key waits for nobody, not even for a thread that has its ID as its name.
func TestAnEventWithoutAKeySharesItsTurnWithNoThread(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, release := newManager(), &inbox{}, make(chan struct{})
		o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
			if e.ThreadID != "" {
				<-release
			}
			return sink.Publish(ctx, e)
		}))
		for _, thread := range []string{"e-1", "event:e-1"} {
			o.Go(t.Context(), small(thread, thread))
		}
		keyless := small("", "keyless")
		keyless.ID = "e-1"
		require.NoError(t, requireEnds(t, o.Go(t.Context(), keyless)))
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}
