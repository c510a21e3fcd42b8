package publisher_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

func TestMultiGivesTheSameEventToAll(t *testing.T) {
	a, b, c := &inbox{}, &inbox{}, &inbox{}
	ctx := trace.ContextWithSpanContext(t.Context(), span(t, 1))
	require.NoError(t, publisher.Multi(a, publisher.Multi(b, c)).Publish(ctx, small("t-1", "")))
	got := a.only(t)
	assert.NotEmpty(t, got.ID)
	assert.False(t, got.Timestamp.IsZero())
	assert.True(t, got.SpanContext().Equal(span(t, 1).WithRemote(true)))
	assert.Equal(t, got, b.only(t))
	assert.Equal(t, got, c.only(t))
}

func TestMultiOfNoneHasNothingToDo(t *testing.T) {
	require.NoError(t, publisher.Multi().Publish(t.Context(), full()))
	require.NoError(t, publisher.Multi(publisher.Multi()).Publish(t.Context(), full()))
}

func TestMultiJoinsTheErrorsAndSaysWhose(t *testing.T) {
	failing := &connectError{"refused"}
	sink := &inbox{}
	err := publisher.Multi(
		publisher.Func(fail), sink, publisher.Console(writerFunc(func([]byte) (int, error) { return 0, failing })), sink,
	).Publish(t.Context(), full())
	require.EqualError(t, err, "sink 0 (publisher.Func): broker: no acknowledgement\nsink 2 (*publisher.console): refused")
	require.ErrorIs(t, err, errBroker)
	require.ErrorIs(t, err, failing)
	assert.Len(t, sink.all(), 2, "the others got it")
}

func TestNestedMultisSayTheWayToASink(t *testing.T) {
	err := publisher.Multi(&inbox{}, publisher.Multi(publisher.Func(fail))).Publish(t.Context(), full())
	require.ErrorContains(t, err, "sink 1 (publisher.multi): sink 0 (publisher.Func): broker: no acknowledgement")
	require.ErrorIs(t, err, errBroker)
}

func TestMultiKeepsItsSinks(t *testing.T) {
	sink := &inbox{}
	sinks := []publisher.Publisher{sink}
	m := publisher.Multi(sinks...)
	sinks[0] = publisher.Func(fail)
	require.NoError(t, m.Publish(t.Context(), full()))
	assert.Len(t, sink.all(), 1)
}

func TestASinkThatPanicsHarmsNoOther(t *testing.T) {
	sink := &inbox{}
	err := publisher.Multi(
		publisher.Func(func(context.Context, publisher.Event) error { panic(errBroker) }), sink,
		publisher.Func(func(context.Context, publisher.Event) error { runtime.Goexit(); return nil }),
		publisher.Func(func(context.Context, publisher.Event) error {
			var none *inbox
			return none.Publish(context.Background(), publisher.Event{})
		}),
	).Publish(t.Context(), full())
	require.ErrorIs(t, err, errBroker)
	require.ErrorIs(t, err, core.ErrGoexit)
	var panicked *core.PanicError
	require.ErrorAs(t, err, &panicked)
	require.ErrorContains(t, err, "sink 3 (publisher.Func): panic: ")
	assert.Contains(t, string(panicked.Stack), "multi_test.go")
	assert.Len(t, sink.all(), 1)
}

func TestSinksWorkSideBySide(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sink, began := &inbox{}, time.Now()
		slow := sink.slowly(time.Second)
		require.NoError(t, publisher.Multi(slow, slow, slow, slow).Publish(t.Context(), full()))
		assert.Equal(t, time.Second, time.Since(began))
		assert.Len(t, sink.all(), 4)
	})
}

// The other sinks have the event, and the error names the sinks that do not.
func TestASinkThatHangsHoldsUpTheOthersNoLongerThanTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sink, release, began := &inbox{}, make(chan struct{}), time.Now()
		err := publisher.Multi(hang(release), sink, publisher.Func(obey)).Publish(within(t, time.Minute), full())
		assert.Equal(t, time.Minute, time.Since(began))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "sink 0 (publisher.Func): the call has not returned: ")
		require.ErrorContains(t, err, "sink 2 (publisher.Func): ")
		require.NotContains(t, err.Error(), "sink 1")
		assert.Len(t, sink.all(), 1)
		close(release)
	})
}

// Meanwhile the other sinks get all events.
func TestASinkThatHangsHoldsOnTo256CallsAtMost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const events = 600
		sink, release, calls := &inbox{}, make(chan struct{}), make(chan struct{}, events)
		stuck := publisher.Func(func(context.Context, publisher.Event) error {
			calls <- struct{}{}
			<-release
			return nil
		})
		p, before := publisher.Multi(stuck, sink), settled()
		for range events {
			require.ErrorIs(t, p.Publish(within(t, time.Second), full()), context.DeadlineExceeded)
		}
		synctest.Wait()
		assert.Len(t, sink.all(), events)
		assert.Len(t, calls, 256)
		assert.Equal(t, before+256, goroutines())

		close(release)
		synctest.Wait()
		assert.Equal(t, before, goroutines())
		require.NoError(t, p.Publish(t.Context(), full()), "it has recovered")
	})
}

// Each argument has its own limit, even if two arguments are the same publisher.
func TestTheBoundIsEachSinksOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release, sink := make(chan struct{}), &inbox{}
		p := publisher.Multi(hang(release), sink.slowly(2*time.Second))
		for range 300 {
			_ = p.Publish(within(t, time.Second), full())
		}
		ctx := within(t, 10*time.Second)
		require.ErrorContains(t, p.Publish(ctx, full()), "sink 0")
		assert.Len(t, sink.all(), 1)
		close(release)
	})
}

func TestMultiInOrderedRetriesAllSinks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sound, shaky := newManager(), &inbox{}, &inbox{}
		o := publisher.NewOrdered(m, publisher.Multi(sound, flaky(shaky, 1)), publisher.WithRetry(every(time.Minute, 2)))
		o.Go(t.Context(), small("t-1", "a"))
		o.Go(t.Context(), small("t-1", "b"))
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, []string{"a", "a", "b", "b"}, sound.contents(), "each event twice, with the same ID")
		assert.Equal(t, sound.all()[0], sound.all()[1])
		assert.Equal(t, []string{"a", "b"}, shaky.contents())
	})
}

// One Multi of all publishers of this package.
func TestMultiOfAllKinds(t *testing.T) {
	var out bytes.Buffer
	log, sink := &logbook{}, &inbox{}
	task, err := publish(t, publisher.Multi(
		publisher.Console(&out), publisher.Console(io.Discard, publisher.WithJSONLines()), publisher.Slog(log.logger()),
		publisher.Slog(slog.New(slog.DiscardHandler)), sink, publisher.Multi(),
	), full())
	require.NoError(t, err)
	assertOutcome(t, core.Completed, task)
	assert.NotZero(t, out.Len())
	assert.Len(t, log.with(t, "tool_execution result"), 1)
	assert.Equal(t, full().ID, sink.only(t).ID)
}
