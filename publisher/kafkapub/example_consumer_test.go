package kafkapub_test

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
)

// A topicReader is a member of a consumer group. Several may run at the same time.
type topicReader struct {
	client *kgo.Client // with ConsumerGroup, ConsumeTopics and AutoCommitMarks
	dead   string      // the topic for events that cannot be handled
	handle func(context.Context, publisher.Event) error
}

// run handles events until ctx is done or the client is closed. A record whose offset was not
// committed is delivered again.
func (c topicReader) run(ctx context.Context) error {
	for {
		fetches := c.client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil && (ctx.Err() != nil || fetches.IsClientClosed()) {
			return err
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			slog.Error("partition not read", "topic", topic, "partition", partition, "error", err)
		})
		for _, r := range fetches.Records() {
			if err := c.settle(ctx, r); err != nil {
				return err
			}
			c.client.MarkCommitRecords(r) // the client commits it within five seconds, and when it is closed
		}
	}
}

// settle tries until the event has been handled. An event with a permanent error goes to the topic dead.
// Later records of the partition wait, so the order of each key is kept.
func (c topicReader) settle(ctx context.Context, r *kgo.Record) error {
	for {
		failure := c.try(ctx, r)
		switch {
		case failure == nil:
			return nil
		case publisher.IsPermanent(failure):
			slog.Error("event moved to the dead letters", "partition", r.Partition, "offset", r.Offset, "error", failure)
			letter := &kgo.Record{Topic: c.dead, Key: r.Key, Value: r.Value, Headers: r.Headers}
			return c.client.ProduceSync(ctx, letter).FirstErr()
		}
		slog.Error("event not handled yet", "partition", r.Partition, "offset", r.Offset, "error", failure)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c topicReader) try(ctx context.Context, r *kgo.Record) error {
	event, err := kafkapub.Decode(r)
	if err != nil {
		return err // permanent
	}
	return c.handle(ctx, event)
}

// handle is called again for an event that was delivered twice: the consumer example of package
// publisher remembers the IDs.
func ExampleDecode() {
	handle := func(context.Context, publisher.Event) error { return nil }
	client, err := kgo.NewClient(
		kgo.SeedBrokers("localhost:9092"),
		kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("agent.events"), kgo.AutoCommitMarks(),
	)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	billing := topicReader{client: client, dead: "agent.events.dead", handle: handle}
	if err := billing.run(ctx); err != nil {
		slog.Error("consumer stopped", "error", err)
	}
}
