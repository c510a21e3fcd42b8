package natspub_test

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/natspub"
)

// A streamReader handles the messages of a consumer of JetStream. Several may run at the same time.
type streamReader struct {
	js       jetstream.JetStream
	consumer jetstream.Consumer // with AckExplicitPolicy, the default
	dead     string             // the subject, in another stream, for events that cannot be handled
	pause    time.Duration      // before an event is delivered again; after ten times it goes to dead
	handle   func(context.Context, publisher.Event) error
}

// run handles events until ctx is done. The server delivers a message again if it is not acknowledged
// within the AckWait of the consumer, which includes the time in the client's buffer.
func (s streamReader) run(ctx context.Context) error {
	consuming, err := s.consumer.Consume(func(msg jetstream.Msg) {
		if err := s.settle(ctx, msg, s.try(ctx, msg)); err != nil {
			slog.Error("event not handled; it will be delivered again", "error", err)
		}
	}, jetstream.PullMaxMessages(10)) // at most in the buffer; the default is 500
	if err != nil {
		return err
	}
	defer consuming.Stop()
	<-ctx.Done()
	return ctx.Err()
}

// try handles the event. The error is permanent if another attempt would be pointless.
func (s streamReader) try(ctx context.Context, msg jetstream.Msg) error {
	event, err := natspub.Decode(msg.Headers(), msg.Data())
	if err != nil {
		return err // permanent
	}
	if meta, err := msg.Metadata(); err == nil && meta.NumDelivered > 10 {
		return publisher.Permanent(errors.New("delivered ten times, and its consumers failed or died"))
	}
	return s.handle(ctx, event)
}

// settle acknowledges the message, or lets it be delivered again. After a permanent failure it is
// first copied to the subject dead.
func (s streamReader) settle(ctx context.Context, msg jetstream.Msg, failure error) error {
	switch {
	case failure == nil:
		return msg.DoubleAck(ctx) // waits until the server has it
	case !publisher.IsPermanent(failure):
		return errors.Join(failure, msg.NakWithDelay(s.pause))
	}
	letter := &nats.Msg{Subject: s.dead, Header: msg.Headers(), Data: msg.Data()}
	if _, err := s.js.PublishMsg(ctx, letter); err != nil {
		return err
	}
	slog.Error("event moved to the dead letters", "error", failure)
	return msg.Term()
}

// handle is called again for an event that was delivered twice: the consumer example of package
// publisher remembers the IDs.
func ExampleDecode() {
	handle := func(context.Context, publisher.Event) error { return nil }
	consumer, err := js.CreateOrUpdateConsumer(ctx, "AGENT", jetstream.ConsumerConfig{
		Durable: "billing", AckWait: time.Minute, // longer than it takes to handle ten events
	})
	if err != nil {
		return
	}
	billing := streamReader{js: js, consumer: consumer, dead: "dead.agent.events", pause: time.Minute, handle: handle}
	if err := billing.run(ctx); err != nil {
		slog.Error("consumer stopped", "error", err)
	}
}
