package publisher_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

func attrsOf(task *core.Task) map[string]string {
	attrs := make(map[string]string)
	for _, a := range task.Attrs() {
		attrs[a.Key] = a.Value.String()
	}
	return attrs
}

// ways returns the two ways to publish in the background. Both treat an event alike.
func ways(m *core.Manager, p publisher.Publisher) map[string]func(context.Context, publisher.Event, ...core.TaskOption) *core.Task {
	return map[string]func(context.Context, publisher.Event, ...core.TaskOption) *core.Task{
		"Go": func(ctx context.Context, e publisher.Event, opts ...core.TaskOption) *core.Task {
			return publisher.Go(ctx, m, p, e, opts...)
		},
		"Ordered": publisher.NewOrdered(m, p).Go,
	}
}

func TestTaskIsNamedAndSaysWhatTheEventIs(t *testing.T) {
	m := newManager()
	for name, way := range ways(m, &inbox{}) {
		t.Run(name, func(t *testing.T) {
			task := way(t.Context(), small("t-1", ""))
			assert.Equal(t, "publish_event", task.Name())
			assert.Equal(t, map[string]string{"kind": "node_execution", "thread_id": "t-1"}, attrsOf(task))

			task = way(t.Context(), publisher.Event{Kind: "k", Type: "t", RunID: "r-1"})
			assert.Equal(t, map[string]string{"kind": "k"}, attrsOf(task), "an event without a thread has no attribute thread_id")
		})
	}
	require.NoError(t, m.Wait(t.Context()))
}

func TestOptionsOfTheCallerComeAfterOurs(t *testing.T) {
	m := newManager()
	own := make([]core.TaskOption, 1, 8) // has spare capacity, to detect an append into it
	own[0] = core.WithAttrs(slog.String("tenant", "acme"))
	for name, way := range ways(m, &inbox{}) {
		t.Run(name, func(t *testing.T) {
			task := way(t.Context(), small("t-1", ""), append(own, core.WithTimeout(time.Minute), nil)...)
			assert.Equal(t, time.Minute, task.Timeout())
			assert.Equal(t, []slog.Attr{
				slog.String("kind", "node_execution"), slog.String("thread_id", "t-1"), slog.String("tenant", "acme"),
			}, task.Attrs())
			assert.Nil(t, own[:8][3])
		})
	}
	require.NoError(t, m.Wait(t.Context()))
}

func TestEventWithoutAKindOrATypeFails(t *testing.T) {
	m := newManager()
	for name, way := range ways(m, publisher.Func(func(context.Context, publisher.Event) error {
		t.Error("the event was published")
		return nil
	})) {
		t.Run(name, func(t *testing.T) {
			task := way(t.Context(), publisher.Event{Type: publisher.TypeStart})
			require.EqualError(t, task.Wait(t.Context()), "publisher: the event has no kind: set Event.Kind")
			assertOutcome(t, core.Failed, task)
			task = way(t.Context(), publisher.Event{Kind: publisher.KindStreaming})
			require.EqualError(t, task.Wait(t.Context()), "publisher: the event has no type: set Event.Type")
			assertOutcome(t, core.Failed, task)
		})
	}
}

func TestMisusePanicsInPlainWords(t *testing.T) {
	m, sink := newManager(), &inbox{}
	for want, misuse := range map[string]func(){
		"publisher: Go: the Manager is nil":           func() { publisher.Go(t.Context(), nil, sink, small("", "")) },
		"publisher: Go: the Publisher is nil":         func() { publisher.Go(t.Context(), m, nil, small("", "")) },
		"publisher: NewOrdered: the Manager is nil":   func() { publisher.NewOrdered(nil, sink) },
		"publisher: NewOrdered: the Publisher is nil": func() { publisher.NewOrdered(m, nil) },
		"publisher: Multi: argument 1 is nil":         func() { publisher.Multi(sink, nil) },
		"publisher: Console: the Writer is nil":       func() { publisher.Console(nil) },
	} {
		assert.PanicsWithValue(t, want, misuse)
	}
	assert.Zero(t, m.Stats())
}

func TestPublishReturnsAtOnceAndTheRequestMayEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		for _, way := range ways(m, sink.slowly(time.Hour)) {
			began := time.Now()
			ctx, endRequest := context.WithCancel(t.Context())
			task := way(ctx, small("t-1", ""))
			endRequest()
			assert.Zero(t, time.Since(began))
			assert.Equal(t, core.Pending, task.Outcome())
		}
		require.NoError(t, m.Wait(t.Context()))
		assert.Len(t, sink.all(), 2)
	})
}

// A publisher that obeys its context returns at the timeout of its task.
func TestPublishEndsWithTheTimeoutOfItsTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		for _, way := range ways(m, publisher.Func(obey)) {
			began := time.Now()
			task := way(t.Context(), small("t-1", ""), core.WithTimeout(time.Second))
			assertOutcome(t, core.TimedOut, task)
			assert.Equal(t, time.Second, time.Since(began))
		}
	})
}

// Unlike Ordered, the function Go does not make the events of a thread wait for each other.
func TestPublishRunsEventsSideBySide(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		for range 10 {
			publisher.Go(t.Context(), m, sink.slowly(time.Second), small("t-1", ""))
		}
		synctest.Wait()
		assert.Equal(t, 10, m.Stats().Running)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Len(t, sink.all(), 10)
	})
}

func TestPublisherThatPanicsIsAFailedTask(t *testing.T) {
	m := newManager()
	for name, p := range map[string]publisher.Func{
		"a panic":          func(context.Context, publisher.Event) error { panic(errBroker) },
		"Goexit":           func(context.Context, publisher.Event) error { runtime.Goexit(); return nil },
		"a panic in Error": func(context.Context, publisher.Event) error { return (*connectError)(nil) },
	} {
		for way, publishWith := range ways(m, p) {
			t.Run(name+", "+way, func(t *testing.T) {
				task := publishWith(t.Context(), small("t-1", ""))
				require.NoError(t, m.Wait(t.Context()))
				assertOutcome(t, core.Failed, task)
			})
		}
	}
}

func TestPublishIsRefusedByAManagerThatIsFullOrClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, release := newManager(core.WithLimit(1, 0)), make(chan struct{})
		publisher.Go(t.Context(), m, hang(release), small("t-1", ""))
		for _, way := range ways(m, &inbox{}) {
			task := way(t.Context(), small("t-2", ""))
			require.ErrorIs(t, task.Err(), core.ErrFull)
			assertOutcome(t, core.Rejected, task)
		}
		close(release)
		require.NoError(t, m.Close())
		for _, way := range ways(m, &inbox{}) {
			require.ErrorIs(t, way(t.Context(), small("t-2", "")).Err(), core.ErrClosed)
		}
		assert.EqualValues(t, 4, m.Stats().Rejected)
	})
}

// A task, such as a node of an agent, publishes with its own context. The event gets its trace.
func TestPublishFromInsideATask(t *testing.T) {
	tel, sink := newTelemetry(), &inbox{}
	m := tel.manager()
	m.Go(t.Context(), "node", func(ctx context.Context) error {
		publisher.Go(ctx, m, sink, small("t-1", ""))
		return nil
	})
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, tel.span(t, "publish_event").SpanContext().SpanID(), sink.only(t).SpanContext().SpanID())
	assert.Equal(t, tel.span(t, "node").SpanContext().SpanID(), tel.span(t, "spawn publish_event").Parent().SpanID())
}

func TestAFuncIsAPublisher(t *testing.T) {
	var got publisher.Event
	p := publisher.Func(func(ctx context.Context, e publisher.Event) error { got = e; return ctx.Err() })
	require.ErrorIs(t, p.Publish(cancelled(), full()), context.Canceled)
	assert.Equal(t, full(), got)
}
