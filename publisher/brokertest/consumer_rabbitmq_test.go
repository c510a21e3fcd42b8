package brokertest

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/amqppub"
)

func consumerThatDies(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	dead := queue(t, channel, nil)
	name := queue(t, channel, quorumWithLimit(60, dead))
	testConsumer(t, consumed{
		broker: "rabbitmq", server: r.addr + " " + name, publisher: amqppub.New(conn, "", name),
		garbage: func() {
			require.NoError(t, channel.PublishWithContext(t.Context(), "", name, true, false, amqp.Publishing{Body: []byte("garbage")}))
		},
		unsettled:   func() int { return r.depth(t, name) },
		deadLetters: func() int { return r.depth(t, dead) },
	})
}

// quorumWithLimit returns the arguments of a queue as the documentation declares it.
func quorumWithLimit(deliveries int, dead string) amqp.Table {
	return amqp.Table{
		amqp.QueueTypeArg: amqp.QueueTypeQuorum, "x-delivery-limit": deliveries,
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
	}
}

func givesUpAnEventThatKills(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	dead := queue(t, channel, nil)
	name := queue(t, channel, quorumWithLimit(2, dead))
	require.NoError(t, amqppub.New(conn, "", name).Publish(t.Context(), bill("killer")))
	for range 3 {
		victim, err := conn.Channel()
		require.NoError(t, err)
		deliveries, err := victim.Consume(name, "", false, false, false, false, nil)
		require.NoError(t, err)
		require.Equal(t, "killer", (<-deliveries).MessageId)
		require.NoError(t, victim.Close())
	}
	await(t, func() string { return differ("dead letters", 1, r.depth(t, dead)) })
	require.Zero(t, r.depth(t, name))
}

func runRabbitConsumer(ctx context.Context, server string, handle eventHandler) error {
	addr, queue, _ := strings.Cut(server, " ")
	conn, err := (&rabbit{addr: addr}).connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	return queueReader{channel: channel, queue: queue, pause: 10 * time.Millisecond, handle: handle}.run(ctx)
}

// This is the code of amqppub's example.

// A queueReader handles the deliveries of a queue. Several may run at the same time. Give each a
// channel of its own, on a different connection from the publisher's.
type queueReader struct {
	channel *amqp.Channel
	queue   string
	pause   time.Duration // before an event is delivered again
	handle  func(context.Context, publisher.Event) error
}

// run handles events until ctx is done or the channel is closed. The broker then delivers again what
// was not acknowledged.
func (q queueReader) run(ctx context.Context) error {
	if err := q.channel.Qos(10, 0, false); err != nil { // limits the deliveries that are not acknowledged yet
		return err
	}
	autoAck, exclusive, noLocal, noWait := false, false, false, false
	deliveries, err := q.channel.ConsumeWithContext(ctx, q.queue, "", autoAck, exclusive, noLocal, noWait, nil)
	if err != nil {
		return err
	}
	for d := range deliveries {
		if err := q.settle(ctx, d, q.try(ctx, d)); err != nil {
			return err
		}
	}
	return cmp.Or(ctx.Err(), error(amqp.ErrClosed))
}

func (q queueReader) try(ctx context.Context, d amqp.Delivery) error {
	event, err := amqppub.Decode(d)
	if err != nil {
		return err // permanent
	}
	return q.handle(ctx, event)
}

// settle acknowledges the delivery, or puts it back for another attempt. After a permanent failure
// the delivery goes to the dead letter exchange of the queue. Without one, the broker drops it.
func (q queueReader) settle(ctx context.Context, d amqp.Delivery, failure error) error {
	if failure == nil {
		return d.Ack(false)
	}
	again := !publisher.IsPermanent(failure)
	slog.Error("event not handled", "id", d.MessageId, "again", again, "error", failure)
	if again { // the broker would deliver it again at once
		select {
		case <-time.After(q.pause):
		case <-ctx.Done():
		}
	}
	return d.Nack(false, again)
}
