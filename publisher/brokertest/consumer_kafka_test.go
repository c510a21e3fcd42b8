package brokertest

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
)

func TestKafkaConsumerThatDies(t *testing.T) {
	k := startKafka(t)
	client := k.client(t)
	topic := k.topic(t, client, 1)
	dead := k.topic(t, client, 1)
	sent := 0
	testConsumer(t, consumed{
		broker: "kafka", server: strings.Join([]string{strings.Join(k.brokers, ","), topic, dead}, " "),
		publisher: publisher.Func(func(ctx context.Context, e publisher.Event) error {
			sent++
			return kafkapub.New(client, topic).Publish(ctx, e)
		}),
		garbage: func() {
			sent++
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("garbage")}).FirstErr())
		},
		unsettled:   func() int { return sent - k.committed(t, topic) },
		deadLetters: func() int { return k.end(t, dead, 1) },
	})
}

// committed returns the offset that the group named after the topic has committed in partition 0.
func (k kafka) committed(t *testing.T, topic string) int {
	t.Helper()
	in := kmsg.NewOffsetFetchRequestTopic()
	in.Topic, in.Partitions = topic, []int32{0}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Topics = topic, append(req.Topics, in)
	resp, err := req.RequestWith(t.Context(), k.client(t))
	require.NoError(t, err)
	for _, out := range resp.Topics {
		return max(0, int(out.Partitions[0].Offset)) // -1: none
	}
	return 0
}

// runKafkaConsumer joins the group named after the topic. Its options make the group forget a
// consumer that died sooner than by default.
func runKafkaConsumer(ctx context.Context, server string, handle eventHandler) error {
	parts := strings.Fields(server)
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(parts[0], ",")...), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.ConsumerGroup(parts[1]), kgo.ConsumeTopics(parts[1]), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(100*time.Millisecond),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	return topicReader{client: client, dead: parts[2], handle: handle}.run(ctx)
}

// This is the code of kafkapub's example.

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
