package brokertest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/amqppub"
	"github.com/afterspan/afterspan/publisher/publishertest"
)

// All tests share a server, since it takes seconds to start. The first test kills the server, and
// leaves dead connections to the other tests.
func TestRabbitMQ(t *testing.T) {
	r := startRabbit(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *rabbit)
	}{
		{"a stream is whole through kills", streamIsWhole},
		{"the adapter passes the conformance kit", passesTheKit},
		{"messages have the event's properties and are persistent", hasProperties},
		{"the routing key is chosen for each event", routesEachEvent},
		{"an unroutable event is an error, and the events around it arrive", reportsUnroutable},
		{"events whose Publish gave up leave no goroutine and block nobody", leavesNothing},
		{"a missing exchange is the broker's error, and can be declared later", recoversFromMissingExchange},
		{"a full queue is an error", reportsNack},
		{"an ID or routing key that is too long fails only its own event", refusesLongStrings},
		{"headers may fill a frame and no more", takesHeadersUpToAFrame},
		{"a body that the broker refuses is permanent, and the events around it are not", marksRefusedBodies},
		{"the largest body that was sent is the one that the broker refuses", marksTheLargestAtOnce},
		{"a consumer that dies leaves its event to the next one", consumerThatDies},
		{"a quorum queue gives up an event that kills its consumers", givesUpAnEventThatKills},
		{"one call of the hook serves all waiting events", reconnectsOnce},
		{"a hook that fails is called again for the next event", callsHookAgain},
		{"a hook's connection that is not open is an error", refusesClosedConnections},
		{"a hook that hangs is not waited for", doesNotWaitForHook},
		{"a channel that dies half open is never used", neverUsesHalfOpen},
		{"a broker that stays stuck is replaced by a new connection", leavesStuckBroker},
		{"the connection is never closed", leavesConnectionOpen},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, r) })
	}
}

func streamIsWhole(t *testing.T, r *rabbit) {
	_, channel := r.open(t)
	name := queue(t, channel, nil)
	r.stop(t) // writes the declaration to disk: a kill soon after it would lose the queue
	r.start(t)
	conn, _ := r.open(t)
	for range 2 {
		dead, _ := r.open(t)
		r.away = append(r.away, dead)
	}
	p := amqppub.New(conn, "", name, amqppub.WithReconnect(r.reconnect(t)))
	publishThroughKills(t, p, r.process, 3)
	_, channel = r.open(t)
	requireWhole(t, drain(t, channel, name))
}

func passesTheKit(t *testing.T, r *rabbit) {
	if r.away == nil {
		r.killForAway(t)
	}
	for _, encoding := range []publisher.Encoding{publisher.Structured, publisher.Binary, publisher.Plain} {
		t.Run(encoding.String(), func(t *testing.T) {
			publishertest.Run(t, func(t *testing.T) publishertest.Target { return r.target(t, encoding) })
		})
	}
}

// killForAway provides the dead connections if the first test did not run.
func (r *rabbit) killForAway(t *testing.T) {
	for range 2 {
		dead, _ := r.open(t)
		r.away = append(r.away, dead)
	}
	r.kill(t)
	r.start(t)
}

// somethingIn returns an event of a thread.
func somethingIn(thread string) publisher.Event {
	return publisher.Event{Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress, ThreadID: thread}
}

func hasProperties(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
	event := somethingIn("thread-1")
	event.ID, event.Timestamp = "event-1", time.Unix(1_700_000_000, 0)
	p := amqppub.New(conn, "", name, nil, amqppub.WithEncoding(publisher.Binary))
	require.NoError(t, p.Publish(t.Context(), event))

	d, ok, err := channel.Get(name, true)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "event-1", d.MessageId)
	require.Equal(t, "application/json", d.ContentType)
	require.Equal(t, amqp.Persistent, d.DeliveryMode)
	require.True(t, event.Timestamp.Equal(d.Timestamp), "%v", d.Timestamp)
	require.Equal(t, "thread-1", d.Headers["cloudEvents_subject"])
	require.NotContains(t, d.Headers, "content-type", "AMQP has a property for it")
}

func routesEachEvent(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	queues := []string{queue(t, channel, nil), queue(t, channel, nil)}
	byThread := amqppub.WithRoutingKeyFunc(func(e publisher.Event) string { return e.ThreadID })
	p := amqppub.New(conn, "", "nowhere", byThread)
	for _, name := range queues {
		require.NoError(t, p.Publish(t.Context(), somethingIn(name)))
	}
	for _, name := range queues {
		events := drain(t, channel, name)
		require.Len(t, events, 1)
		require.Equal(t, name, events[0].ThreadID)
	}
}

func reportsUnroutable(t *testing.T, r *rabbit) {
	const each = 300
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
	p := amqppub.New(conn, "", name, amqppub.WithRoutingKeyFunc(func(e publisher.Event) string { return e.ThreadID }))
	var wg sync.WaitGroup
	for i := range each {
		wg.Go(func() { assert.NoError(t, p.Publish(t.Context(), somethingIn(name))) })
		wg.Go(func() {
			err := p.Publish(t.Context(), somethingIn(fmt.Sprint("nowhere-", i)))
			assert.ErrorContains(t, err, fmt.Sprintf(`no queue matches the routing key "nowhere-%d": %d `, i, amqp.NoRoute))
		})
	}
	wg.Wait()
	require.Len(t, drain(t, channel, name), each)
}

// The broker returns the messages of events whose Publish has given up. They are more than any
// buffer holds, and they must not block the client.
func leavesNothing(t *testing.T, r *rabbit) {
	const rounds, each = 4, 250
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
	p := amqppub.New(conn, "", name, amqppub.WithRoutingKeyFunc(func(e publisher.Event) string { return e.ThreadID }))
	require.NoError(t, p.Publish(t.Context(), somethingIn(name)))

	before := runtime.NumGoroutine()
	r.pauseUntilEnd(t)
	for range rounds {
		abandon(t, p, each)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 30*time.Second, time.Millisecond,
		"goroutines, except for one that may be writing")

	r.resume()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 20 {
		require.NoError(t, p.Publish(ctx, somethingIn(name)))
	}
	require.Len(t, drain(t, channel, name), 21)
}

// abandon publishes n unroutable events to a broker that does not answer.
func abandon(t *testing.T, p publisher.Publisher, n int) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { assert.ErrorIs(t, p.Publish(ctx, somethingIn("nowhere")), context.DeadlineExceeded) })
	}
	wg.Wait()
}

func recoversFromMissingExchange(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
	p := amqppub.New(conn, name, "")
	for range 3 {
		err := p.Publish(t.Context(), somethingIn("thread-1"))
		require.ErrorContains(t, err, fmt.Sprintf("to exchange %q: ", name))
		var reason *amqp.Error
		require.ErrorAs(t, err, &reason)
		require.Equal(t, amqp.NotFound, reason.Code)
	}
	require.False(t, conn.IsClosed(), "the broker closes only the channel, not the connection")

	require.NoError(t, channel.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil))
	require.NoError(t, channel.QueueBind(name, "", name, false, nil))
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")))
	require.Len(t, drain(t, channel, name), 1)
}

func reportsNack(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	name := queue(t, channel, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	p := amqppub.New(conn, "", name)
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")))
	require.ErrorContains(t, p.Publish(t.Context(), somethingIn("thread-1")), "nack")
	require.Len(t, drain(t, channel, name), 1)
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")), "there is room again")
}

func refusesLongStrings(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
	p := amqppub.New(conn, "", "", amqppub.WithRoutingKeyFunc(func(e publisher.Event) string { return e.ThreadID }))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			event := somethingIn(name)
			event.ID = strings.Repeat("i", 256)
			assert.ErrorContains(t, p.Publish(t.Context(), event), "the ID has 256 bytes; AMQP allows 255")
			err := p.Publish(t.Context(), somethingIn(strings.Repeat("k", 256)))
			assert.ErrorContains(t, err, "the routing key has 256 bytes; AMQP allows 255")
		})
		wg.Go(func() { assert.NoError(t, p.Publish(t.Context(), somethingIn(name))) })
	}
	wg.Wait()
	long := somethingIn(strings.Repeat("k", 255))
	long.ID = strings.Repeat("i", 255)
	require.ErrorContains(t, p.Publish(t.Context(), long), "no queue matches the routing key", "the broker accepts 255 bytes")
	require.Len(t, drain(t, channel, name), 20)
}

func TestAMQPNewPanicsOnMisuse(t *testing.T) {
	conn := &amqp.Connection{}
	require.PanicsWithValue(t, "amqppub: New: the connection is nil", func() { amqppub.New(nil, "", "events") })
	require.PanicsWithValue(t, "amqppub: New: the name of the exchange has 256 bytes; AMQP allows 255",
		func() { amqppub.New(conn, strings.Repeat("x", 256), "events") })
	require.PanicsWithValue(t, "amqppub: WithRoutingKeyFunc: the function is nil", func() { amqppub.WithRoutingKeyFunc(nil) })
}

func TestAMQPDecodeTakesHeadersInAnyCaseAndTheContentTypeFromItsProperty(t *testing.T) {
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	event, err := amqppub.Decode(amqp.Delivery{
		ContentType: "application/json",
		Headers:     amqp.Table{"Content-Type": "application/cloudevents+json", "TraceParent": traceparent, "x-death": int32(1)},
		Body:        []byte(`{"event":"streaming","event_type":"update"}`),
	})
	require.NoError(t, err)
	require.Equal(t, publisher.KindStreaming, event.Kind)
	require.Equal(t, traceparent, event.TraceParent)
	_, err = amqppub.Decode(amqp.Delivery{})
	require.Error(t, err, "an empty delivery")
}
