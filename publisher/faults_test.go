package publisher_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// Each test shows that a fault of Agentflow does not occur here. One fault is tested with the
// adapters: Agentflow reuses its client after the client failed to connect.

// Agentflow calls datetime.now() once, when its module is imported, and uses the result as the
// default timestamp. Every event of a process has the time at which the process started.
func TestFaultTimestampFrozenAtImport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink)
		for range 3 {
			time.Sleep(time.Hour)
			publisher.Go(t.Context(), m, sink, small("t-1", "published"))
			require.NoError(t, m.Wait(t.Context()))
			o.Go(t.Context(), small("t-1", "ordered"))
			require.NoError(t, m.Wait(t.Context()))
			require.NoError(t, publisher.Multi(sink).Publish(t.Context(), small("t-1", "direct")))
			for _, e := range sink.all()[len(sink.all())-3:] {
				assert.True(t, e.Timestamp.Equal(time.Now()), "%s: %v", e.Content, e.Timestamp)
			}
		}
	})
}

// Agentflow gives the caller's own object to the task. If the caller reuses it for the next event,
// as Agentflow's own nodes do, the first event arrives changed: its START arrived as a PROGRESS.
func TestFaultEventChangedAfterTheCall(t *testing.T) {
	publishers := map[string]func(*core.Manager, publisher.Publisher, publisher.Event){
		"Go": func(m *core.Manager, p publisher.Publisher, e publisher.Event) {
			publisher.Go(context.Background(), m, p, e)
		},
		"queued in Ordered": func(m *core.Manager, p publisher.Publisher, e publisher.Event) {
			o := publisher.NewOrdered(m, p)
			first := small(e.ThreadID, "holds up the next")
			first.ID = "first"
			o.Go(context.Background(), first)
			o.Go(context.Background(), e)
		},
	}
	for name, publishWith := range publishers {
		inBubble(t, name, func(t *testing.T) {
			m, sink, release := newManager(), &inbox{}, make(chan struct{})
			e, change := changeable()
			want, _ := changeable()
			publishWith(m, sink.until(release), e)
			change()
			synctest.Wait()
			close(release)
			require.NoError(t, m.Wait(t.Context()))
			all := sink.all()
			got := all[len(all)-1]
			got.Sequence = 0
			assert.Equal(t, toJSON(t, want), toJSON(t, got))
		})
	}
}

// changeable returns an event, always the same, and a function that changes everything in it that
// can be changed.
func changeable() (publisher.Event, func()) {
	type order struct {
		Total int
		Items map[string]int
	}
	e := full()
	e.Sequence = 0
	nested, list, ptr := map[string]any{"k": "v"}, []any{"a", map[string]any{"k": "v"}}, &order{1, map[string]int{"x": 1}}
	words, typed, raw := []string{"a"}, map[string][]int{"k": {1}}, []byte("abc")
	e.Data = map[string]any{
		"nested": nested, "list": list, "ptr": ptr, "words": words, "typed": typed, "raw": raw,
		"ptr in a list": []any{ptr}, "list in a list": []any{list},
	}
	e.Metadata = map[string]any{"nested": nested, "ptr": ptr}
	e.ContentBlocks = []map[string]any{{"text": "a", "list": list}, {"ptr": ptr}}
	return e, func() {
		nested["k"], nested["new"] = "changed", true
		list[0], list[1].(map[string]any)["k"] = "changed", "changed"
		ptr.Total, ptr.Items["x"] = 99, 99
		words[0], typed["k"][0], raw[0] = "changed", 99, 'X'
		e.Data["new"], e.Metadata["new"] = true, true
		delete(e.Data, "words")
		e.ContentBlocks[0]["text"], e.ContentBlocks[1] = "changed", nil
		e.ContentType[0] = "changed"
	}
}

// Agentflow catches the error of a publish inside the task, so its manager counts the task as
// completed.
func TestFaultErrorSwallowedAndCountedAsSuccess(t *testing.T) {
	for name, publishWith := range map[string]func(context.Context, *core.Manager) *core.Task{
		"Go": func(ctx context.Context, m *core.Manager) *core.Task {
			return publisher.Go(ctx, m, publisher.Func(fail), small("t-1", ""))
		},
		"Ordered": func(ctx context.Context, m *core.Manager) *core.Task {
			return publisher.NewOrdered(m, publisher.Func(fail)).Go(ctx, small("t-1", ""))
		},
		"Multi": func(ctx context.Context, m *core.Manager) *core.Task {
			return publisher.Go(ctx, m, publisher.Multi(&inbox{}, publisher.Func(fail)), small("t-1", ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			tel, log := newTelemetry(), &logbook{}
			m := core.New(core.WithLogger(log.logger()), core.WithMiddleware(tel.middleware()))
			task := publishWith(t.Context(), m)
			require.NoError(t, m.Wait(t.Context()))

			assertOutcome(t, core.Failed, task)
			require.ErrorIs(t, task.Err(), errBroker)
			assert.EqualValues(t, 1, m.Stats().Failed)
			assert.Zero(t, m.Stats().Completed)
			lines := log.with(t, "background task failed")
			require.Len(t, lines, 1)
			assert.Equal(t, "ERROR", lines[0]["level"])
			assert.Equal(t, "node_execution", lines[0]["kind"])
			assert.Equal(t, "t-1", lines[0]["thread_id"])
			assert.Contains(t, lines[0]["error"], errBroker.Error())
			assert.Equal(t, codes.Error, tel.span(t, "publish_event").Status().Code)
			assert.Contains(t, tel.span(t, "publish_event").Status().Description, errBroker.Error())
		})
	}
}

// Agentflow starts a task for each event and does not order them: a faster event overtakes a slower
// one.
func TestFaultNoOrderWithinAThread(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const events = 20
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
			// Each event is faster than the one before.
			time.Sleep(time.Duration(events-e.Sequence) * time.Second)
			return sink.Publish(ctx, e)
		}))
		want := []string{}
		for i := range events {
			o.Go(t.Context(), small("t-1", fmt.Sprint(i)))
			want = append(want, fmt.Sprint(i))
		}
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, want, sink.contents())
	})
}

// Agentflow marshals in the task. If json.dumps fails, it logs one line. The event is lost, and
// counted as published.
func TestFaultUnserialisableDataLosesTheEvent(t *testing.T) {
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	for name, value := range map[string]any{
		"a channel": make(chan int), "a function": func() {}, "NaN": math.NaN(), "float32 NaN": float32(math.NaN()),
		"infinity": math.Inf(1), "a cycle": cyclic, "MarshalJSON that fails": broken{errBroker},
		"MarshalJSON that panics": broken{}, "a map with odd keys": map[bool]int{true: 1}, "a nested channel": []any{make(chan int)},
	} {
		t.Run(name, func(t *testing.T) {
			m, sink := newManager(), &inbox{}
			bad := small("t-1", "")
			bad.Data = map[string]any{"conn": value}
			o := publisher.NewOrdered(m, sink)
			for _, task := range []*core.Task{
				publisher.Go(t.Context(), m, sink, bad), o.Go(t.Context(), bad),
			} {
				assertOutcome(t, core.Failed, task)
				require.ErrorContains(t, task.Err(), `Event.Data has a value that JSON cannot carry: ["conn"]`)
			}
			assert.Empty(t, sink.all())
			o.Go(t.Context(), small("t-1", "the next"))
			require.NoError(t, m.Wait(t.Context()))
			assert.Equal(t, []string{"the next"}, sink.contents())
			assert.Equal(t, []uint64{1}, sink.sequences("t-1"), "an event that was not published leaves no gap")
		})
	}
}

// Agentflow puts the URL that it could not connect to into its error, with the password, and logs
// the error.
func TestFaultPasswordsInErrors(t *testing.T) {
	for name, text := range leakyErrors() {
		t.Run(name, func(t *testing.T) {
			tel, log := newTelemetry(), &logbook{}
			m := core.New(core.WithLogger(log.logger()), core.WithMiddleware(tel.middleware()))
			cause := &connectError{text}
			leak := publisher.Func(func(context.Context, publisher.Event) error { return fmt.Errorf("connect: %w", cause) })
			tasks := []*core.Task{
				publisher.Go(t.Context(), m, leak, small("t-1", "")),
				publisher.Go(t.Context(), m, publisher.Multi(leak), small("t-1", "")),
				publisher.NewOrdered(m, leak).Go(t.Context(), small("t-1", "")),
			}
			require.NoError(t, m.Wait(t.Context()))
			for _, task := range tasks {
				requireHidden(t, task.Err().Error())
				require.ErrorIs(t, task.Err(), cause)
				var as *connectError
				require.ErrorAs(t, task.Err(), &as)
			}
			for _, line := range log.with(t, "background task failed") {
				requireHidden(t, line["error"].(string))
			}
			for _, s := range tel.recorder.Ended() {
				requireHidden(t, s.Status().Description)
			}
		})
	}
}

type connectError struct{ text string }

func (e *connectError) Error() string { return e.text }

// Agentflow cancels all tasks at once when it shuts down. Of ten events in flight, none arrived,
// although the shutdown had thirty seconds.
func TestFaultEventsThrownAwayAtShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const threads, events = 5, 8
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, sink.slowly(time.Second))
		for i := range threads * events {
			o.Go(t.Context(), small(fmt.Sprint("t-", i%threads), ""))
			publisher.Go(t.Context(), m, sink.slowly(time.Second), small("", ""))
		}
		stats, err := m.Shutdown(within(t, 30*time.Second))
		require.NoError(t, err)
		assert.Equal(t, "completed", stats.Status)
		assert.Equal(t, 2*threads*events, stats.CompletedTasks)
		assert.Equal(t, events*time.Second, stats.Duration)
		assert.Len(t, sink.all(), 2*threads*events)
	})
}

// Agentflow counts the events that its shutdown discarded as completed.
func TestFaultUndeliveredEventsCountedAsDelivered(t *testing.T) {
	for name, ignores := range map[string]bool{"a sink that obeys": false, "a sink that hangs": true} {
		inBubble(t, name, func(t *testing.T) {
			const delivered, undelivered = 3, 7
			m, sink, release := newManager(), &inbox{}, make(chan struct{})
			stuck := publisher.Func(obey)
			if ignores {
				stuck = hang(release)
			}
			o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
				if e.Sequence > delivered {
					return stuck(ctx, e)
				}
				return sink.Publish(ctx, e)
			}))
			var lost []*core.Task
			for i := range delivered + undelivered {
				if task := o.Go(t.Context(), small("t-1", "")); i >= delivered {
					lost = append(lost, task)
				}
			}
			stats, err := m.Shutdown(within(t, 20*time.Second))
			assertLost(t, err, undelivered)
			assert.EqualValues(t, delivered, m.Stats().Completed)
			assert.Len(t, sink.all(), delivered)
			assert.Equal(t, undelivered, stats.CancelledTasks+stats.RemainingTasks, "%+v", stats)
			assert.Equal(t, ignores, stats.RemainingTasks == 1)

			close(release)
			for _, task := range lost { // the first was being published
				require.ErrorIs(t, requireEnds(t, task), core.ErrShutdown)
				assertOutcome(t, core.Cancelled, task)
			}
		})
	}
}
