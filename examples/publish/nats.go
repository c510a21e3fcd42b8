package main

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/natspub"
)

func (b *broker) openNATS(ctx context.Context, o options) error {
	if o.nats == "" {
		return errors.New("there is no URL")
	}
	nc, err := nats.Connect(o.nats, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		return err
	}
	b.atClose(func() error { nc.Close(); return nil })
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: o.stream, Subjects: []string{o.stream}})
	if err != nil {
		return err
	}
	b.publisher = natspub.New(js, o.stream)
	b.receive = func(ctx context.Context, handle func(publisher.Event) bool) error {
		defer func() { _ = js.DeleteStream(context.WithoutCancel(ctx), o.stream) }() // it was for this run alone
		return receiveNATS(ctx, stream, handle)
	}
	return nil
}

func receiveNATS(ctx context.Context, stream jetstream.Stream, handle func(publisher.Event) bool) error {
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		event, err := natspub.Decode(msg.Headers(), msg.Data())
		if err != nil {
			return err
		}
		if !handle(event) {
			return nil
		}
	}
}

// embedNATS starts a NATS with JetStream in this process, and returns its URL.
func (b *broker) embedNATS() (url string, err error) {
	dir, err := b.tempDir()
	if err != nil {
		return "", err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return "", err
	}
	s.Start()
	b.atClose(func() error { s.Shutdown(); s.WaitForShutdown(); return nil })
	if !s.ReadyForConnections(10 * time.Second) {
		return "", errors.New("the embedded NATS does not get ready")
	}
	return s.ClientURL(), nil
}
