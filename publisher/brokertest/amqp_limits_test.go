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
			assert.NoError(t, publishUntilDecided(t, p, somethingIn(fmt.Sprint("thread-", i))))
		})
	}
	for _, size := range []int{rabbitMaxSize, rabbitMaxSize + 1, 2 * rabbitMaxSize} {
		wg.Go(func() {
			var reason *amqp.Error
			assert.ErrorAs(t, publishUntilDecided(t, p, heavy(size)), &reason, "a body of %d bytes", size)
		})
	}
	wg.Wait()
	require.False(t, conn.IsClosed())
	require.GreaterOrEqual(t, len(drain(t, channel, name)), around)
}

// publishUntilDecided retries until the event is delivered or has failed for good.
func publishUntilDecided(t *testing.T, p publisher.Publisher, e publisher.Event) error {
	for {
		err := p.Publish(t.Context(), e)
		if err == nil || publisher.IsPermanent(err) {
			return err
		}
	}
}

// One attempt is enough if no larger body was sent.
func marksTheLargestAtOnce(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	p := amqppub.New(conn, "", queue(t, channel, nil), amqppub.WithMaxMessageSize(0))
	require.NoError(t, p.Publish(t.Context(), heavy(rabbitMaxSize/2)))
	err := p.Publish(t.Context(), heavy(rabbitMaxSize))
	require.True(t, publisher.IsPermanent(err), "%v", err)
	require.NoError(t, p.Publish(t.Context(), heavy(rabbitMaxSize/2)))
}
