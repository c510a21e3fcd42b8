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

// All tests share a server: it takes seconds to start. The first kills it, and leaves the others connections that are dead.
func TestRabbitMQ(t *testing.T) {
	r := startRabbit(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *rabbit)
	}{
		{"a stream is whole through kills", streamIsWhole},
		{"the adapter passes the conformance kit", passesTheKit},
		{"messages have the event's properties, and are persistent", hasProperties},
		{"the routing key is chosen for each event", routesEachEvent},
		{"an event that no queue takes is an error, and its neighbours arrive", reportsUnroutable},
		{"events that are given up leave nothing behind", leavesNothing},
		{"an exchange that does not exist is the broker's error, and can be declared later", recoversFromMissingExchange},
		{"a queue that is full refuses", reportsNack},
		{"an id or a routing key that is too long is refused, and harms no other", refusesLongStrings},
		{"one call of the hook serves all who wait", reconnectsOnce},
		{"a hook that fails is called again for the next event", callsHookAgain},
		{"a hook's connection that is not open is an error", refusesClosedConnections},
		{"a hook that hangs is not waited for", doesNotWaitForHook},
		{"a channel that dies half open is never used", neverUsesHalfOpen},
		{"a broker that is stuck for good is left", leavesStuckBroker},
		{"the connection is never closed", leavesConnectionOpen},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, r) })
	}
}

func streamIsWhole(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
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

// killForAway is for a run of the kit alone.
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
	require.NotContains(t, d.Headers, "content-type", "which is a property")
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
			assert.ErrorContains(t, err, fmt.Sprintf(`no queue takes the routing key "nowhere-%d": 312 NO_ROUTE`, i))
		})
	}
	wg.Wait()
	require.Len(t, drain(t, channel, name), each)
}

// What comes back from events whose Publish has given up is more than any buffer holds: nobody may have to wait for it.
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
		"goroutines, but for one that may be writing")

	r.resume()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 20 {
		require.NoError(t, p.Publish(ctx, somethingIn(name)))
	}
	require.Len(t, drain(t, channel, name), 21)
}

// abandon publishes n events that no queue takes to a broker that does not answer.
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
		require.ErrorContains(t, err, "NOT_FOUND - no exchange '"+name)
		var reason *amqp.Error
		require.ErrorAs(t, err, &reason)
		require.Equal(t, amqp.NotFound, reason.Code)
	}
	require.False(t, conn.IsClosed(), "the connection, of which only a channel was closed")

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
			assert.ErrorContains(t, p.Publish(t.Context(), event), "its id has 256 bytes, and AMQP takes 255")
			err := p.Publish(t.Context(), somethingIn(strings.Repeat("k", 256)))
			assert.ErrorContains(t, err, "its routing key has 256 bytes, and AMQP takes 255")
		})
		wg.Go(func() { assert.NoError(t, p.Publish(t.Context(), somethingIn(name))) })
	}
	wg.Wait()
	long := somethingIn(strings.Repeat("k", 255))
	long.ID = strings.Repeat("i", 255)
	require.ErrorContains(t, p.Publish(t.Context(), long), "NO_ROUTE", "255 bytes, which the broker takes")
	require.Len(t, drain(t, channel, name), 20)
}

func TestAMQPNewPanicsOnMisuse(t *testing.T) {
	conn := &amqp.Connection{}
	require.PanicsWithValue(t, "amqppub: New: the connection is nil", func() { amqppub.New(nil, "", "events") })
	require.PanicsWithValue(t, "amqppub: New: the exchange's name has 256 bytes, and AMQP takes 255",
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
	require.Error(t, err, "a delivery that is empty")
}
