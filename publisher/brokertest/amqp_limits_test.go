package brokertest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/amqppub"
)

// tooLargeForRabbitMQ returns events for the conformance kit. Only Binary has fields of the event
// among the headers.
func tooLargeForRabbitMQ(encoding publisher.Encoding) map[string]publisher.Event {
	id := somethingIn("thread-1")
	id.ID = strings.Repeat("i", 256)
	events := map[string]publisher.Event{"ID": id, "body": heavy(rabbitMaxSize)}
	if encoding == publisher.Binary {
		events["headers"] = named(65_536)
	}
	return events
}

// The broker answers headers that do not fit into a frame by closing the connection, for everybody
// on it.
func takesHeadersUpToAFrame(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
	p := amqppub.New(conn, "", name, amqppub.WithEncoding(publisher.Binary))
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")), "opens the channel")
	requireExact(t, p, "headers", 70_000, 2, growThread)
	require.False(t, conn.IsClosed())
	require.Len(t, drain(t, channel, name), 2)
}

// The broker closes the channel, and all that is being sent on it fails. A retry of the others
// delivers them.
func marksRefusedBodies(t *testing.T, r *rabbit) {
	const around = 20
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
	p := amqppub.New(conn, "", name, amqppub.WithMaxMessageSize(0))
	var wg sync.WaitGroup
	for i := range around {
		wg.Go(func() {
			for {
				err := p.Publish(t.Context(), somethingIn(fmt.Sprint("thread-", i)))
				if err == nil {
					return
				}
				if !assert.False(t, publisher.IsPermanent(err), "%v", err) {
					return
				}
			}
		})
	}
	wg.Go(func() {
		err := p.Publish(t.Context(), heavy(rabbitMaxSize))
		var reason *amqp.Error
		assert.ErrorAs(t, err, &reason)
		assert.True(t, publisher.IsPermanent(err), "%v", err)
	})
	wg.Wait()
	require.False(t, conn.IsClosed())
	require.GreaterOrEqual(t, len(drain(t, channel, name)), around)
}
