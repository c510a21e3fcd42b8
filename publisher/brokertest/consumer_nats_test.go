package brokertest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/natspub"
)

func TestNATSConsumerThatDies(t *testing.T) {
	_, url := startNATS(t)
	js := jetStreamOf(t, connectNATS(t, url))
	stream := createStream(t, js, "EVENTS", "events")
	letters := createStream(t, js, "DEAD", "dead")
	consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "billing", AckWait: time.Second})
	require.NoError(t, err)
	testConsumer(t, consumed{
		broker: "nats", server: url, publisher: natspub.New(js, "events"),
		garbage: func() {
			_, err := js.Publish(t.Context(), "events", []byte("garbage"))
			require.NoError(t, err)
		},
		unsettled: func() int {
			info, err := consumer.Info(t.Context())
			require.NoError(t, err)
			return info.NumAckPending + int(info.NumPending)
		},
		deadLetters: func() int { return int(storedIn(t, letters)) },
	})
}

func TestNATSConsumerGivesUpAnEventThatKillsIt(t *testing.T) {
	_, url := startNATS(t)
	js := jetStreamOf(t, connectNATS(t, url))
	stream := createStream(t, js, "EVENTS", "events")
	letters := createStream(t, js, "DEAD", "dead")
	consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "billing"})
	require.NoError(t, err)
	require.NoError(t, natspub.New(js, "events").Publish(t.Context(), bill("killer")))
	for range 10 {
		msg, err := consumer.Next()
		require.NoError(t, err)
		require.NoError(t, msg.Nak())
	}
	deliveries, _ := runConsumer(t, consumed{broker: "nats", server: url}, func(context.Context, publisher.Event) error { return nil })
	await(t, func() string { return differ("dead letters", 1, int(storedIn(t, letters))) })
	require.Zero(t, deliveries.of("killer"))
}

func runNATSConsumer(ctx context.Context, url string, handle eventHandler) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.Consumer(ctx, "EVENTS", "billing")
	if err != nil {
		return err
	}
	return streamReader{js: js, consumer: consumer, dead: "dead", pause: 10 * time.Millisecond, handle: handle}.run(ctx)
}

// This is the code of natspub's example.

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
