package amqppub_test

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/amqppub"
)

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

// The queue has a dead letter exchange: see the example of New. handle is called again for an event
// that was delivered twice: the consumer example of package publisher remembers the IDs.
func ExampleDecode() {
	handle := func(context.Context, publisher.Event) error { return nil }
	billing := queueReader{channel: channel, queue: "billing", pause: 10 * time.Second, handle: handle}
	if err := billing.run(ctx); err != nil {
		slog.Error("consumer stopped", "error", err)
	}
}
