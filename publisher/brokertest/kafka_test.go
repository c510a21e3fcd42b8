package brokertest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
	"github.com/afterspan/afterspan/publisher/publishertest"
)

// kafka is a cluster: the one that KAFKA_BROKERS names, or else franz-go's fake.
type kafka struct {
	brokers []string
	fake    *kfake.Cluster // nil if the cluster is real
}

func startKafka(t *testing.T) kafka {
	t.Helper()
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		return kafka{brokers: strings.Split(brokers, ",")}
	}
	return startFakeKafka(t)
}

// startFakeKafka starts a fake cluster. Tests use it for failures that a real one does not produce
// on demand.
func startFakeKafka(t *testing.T, opts ...kfake.Opt) kafka {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	return kafka{brokers: fake.ListenAddrs(), fake: fake}
}

// maxBytes is enough for an event of one mebibyte. It is the limit of the client's batches, of
// topics and of consumers.
const maxBytes = 4 << 20

func (k kafka) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(k.brokers...), kgo.ProducerBatchMaxBytes(maxBytes),
		// After a failure, the client would pause for up to five seconds. The tests need no pauses.
		kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
	}, opts...)
	client, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// topic creates a new topic.
func (k kafka) topic(t *testing.T, client *kgo.Client, partitions int32) string {
	t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic = fmt.Sprintf("afterspan-%d", time.Now().UnixNano())
	topic.NumPartitions, topic.ReplicationFactor = partitions, -1
	size := kmsg.NewCreateTopicsRequestTopicConfig()
	size.Name, size.Value = "max.message.bytes", new(fmt.Sprint(maxBytes))
	topic.Configs = append(topic.Configs, size)

	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(resp.Topics[0].ErrorCode))
	if k.fake == nil {
		t.Cleanup(func() { k.remove(t, topic.Topic) })
	}
	return topic.Topic
}

// remove deletes a topic of a real cluster.
func (k kafka) remove(t *testing.T, topic string) {
	name := kmsg.NewDeleteTopicsRequestTopic()
	name.Topic = new(topic)
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames, req.Topics = []string{topic}, append(req.Topics, name)
	if _, err := req.RequestWith(context.WithoutCancel(t.Context()), k.client(t)); err != nil {
		t.Logf("the topic %s was not deleted: %v", topic, err)
	}
}

// reader returns a function that waits for the next record of a topic, from its beginning.
func (k kafka) reader(t *testing.T, topic string) func(context.Context) (*kgo.Record, error) {
	t.Helper()
	client := k.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxPartitionBytes(maxBytes), kgo.FetchMaxWait(100*time.Millisecond))
	return func(ctx context.Context) (*kgo.Record, error) {
		for {
			fetches := client.PollRecords(ctx, 1)
			if err := fetches.Err(); err != nil {
				return nil, err
			}
			for _, r := range fetches.Records() {
				return r, nil
			}
		}
	}
}

// read returns the first n records of a topic.
func (k kafka) read(t *testing.T, topic string, n int) (records []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := k.reader(t, topic)
	for range n {
		r, err := next(ctx)
		require.NoError(t, err, "after %d of %d records", len(records), n)
		records = append(records, r)
	}
	return records
}

// hold makes the brokers leave each request of a kind unanswered until release is called. held
// receives a value when a request has arrived.
func (k kafka) hold(t *testing.T, key kmsg.Key) (held <-chan struct{}, release func()) {
	come, released := make(chan struct{}, 1), make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	k.fake.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case come <- struct{}{}:
		default:
		}
		k.fake.SleepControl(func() { <-released })
		return nil, nil, false
	})
	return come, release
}

func TestKafkaPassesTheConformanceKit(t *testing.T) {
	for _, encoding := range []publisher.Encoding{publisher.Structured, publisher.Binary, publisher.Plain} {
		t.Run(encoding.String(), func(t *testing.T) {
			publishertest.Run(t, func(t *testing.T) publishertest.Target { return kafkaTarget(t, encoding) })
		})
	}
}

func kafkaTarget(t *testing.T, encoding publisher.Encoding) publishertest.Target {
	k, stuck := startKafka(t), startFakeKafka(t)
	client := k.client(t)
	topic := k.topic(t, client, 3)
	stuckClient := stuck.client(t)
	stuckTopic := stuck.topic(t, stuckClient, 1)
	stuck.hold(t, kmsg.Produce)
	away := kafka{brokers: []string{freeAddr(t)}}
	next := k.reader(t, topic)
	return publishertest.Target{
		TooLarge:  map[string]publisher.Event{"record": heavy(maxBytes)},
		Publisher: kafkapub.New(client, topic, kafkapub.WithEncoding(encoding)),
		Away:      kafkapub.New(away.client(t), topic, kafkapub.WithEncoding(encoding)),
		Stuck:     kafkapub.New(stuckClient, stuckTopic, kafkapub.WithEncoding(encoding)),
		Receive: func(ctx context.Context) (publishertest.Received, error) {
			r, err := next(ctx)
			if err != nil {
				return publishertest.Received{}, err
			}
			event, err := kafkapub.Decode(r)
			return publishertest.Received{Event: event, Header: headersOf(r)}, err
		},
	}
}

func headersOf(r *kgo.Record) map[string]string {
	header := make(map[string]string)
	for _, h := range r.Headers {
		header[h.Key] = string(h.Value)
	}
	return header
}

// about returns an event of a thread.
func about(thread string) publisher.Event {
	return publisher.Event{
		ID:   "event of " + thread,
		Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress, ThreadID: thread,
	}
}

func TestKafkaKeepsTheEventsOfAKeyInOnePartitionInOrder(t *testing.T) {
	const keys, events, partitions = 20, 20, 5
	k := startKafka(t)
	client := k.client(t)
	topic := k.topic(t, client, partitions)
	m := core.New()
	ordered := publisher.NewOrdered(m, kafkapub.New(client, topic))
	for range events {
		for key := range keys {
			event := about(fmt.Sprint("thread-", key))
			event.ID = ""
			ordered.Go(t.Context(), event)
		}
	}
	_, err := m.Shutdown(t.Context())
	require.NoError(t, err)

	partitionOf, used, last := make(map[string]int32), make(map[int32]bool), make(map[string]uint64)
	for _, r := range k.read(t, topic, keys*events) {
		event, err := kafkapub.Decode(r)
		require.NoError(t, err)
		require.Equal(t, event.ThreadID, string(r.Key), "the record's key")
		if _, known := partitionOf[event.ThreadID]; !known {
			partitionOf[event.ThreadID] = r.Partition
		}
		require.Equal(t, partitionOf[event.ThreadID], r.Partition, "the partition of %s", event.ThreadID)
		require.Equal(t, last[event.ThreadID]+1, event.Sequence, "the order of %s", event.ThreadID)
		last[event.ThreadID] = event.Sequence
		used[r.Partition] = true
	}
	require.Greater(t, len(used), 1, "partitions with events")
}

func TestKafkaRecordsHaveTheEventsKeyTimeAndHeaders(t *testing.T) {
	k := startKafka(t)
	client := k.client(t)
	topic := k.topic(t, client, 1)
	moment := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	run := publisher.Event{Kind: publisher.KindGraphExecution, Type: publisher.TypeEnd, RunID: "run-1", Timestamp: moment}
	keyless := publisher.Event{Kind: publisher.KindGraphExecution, Type: publisher.TypeEnd}
	require.NoError(t, kafkapub.New(client, topic).Publish(t.Context(), run))
	require.NoError(t, kafkapub.New(client, topic, nil, kafkapub.WithEncoding(publisher.Plain)).Publish(t.Context(), keyless))

	records := k.read(t, topic, 2)
	require.Equal(t, "run:run-1", string(records[0].Key))
	require.True(t, moment.Equal(records[0].Timestamp), "%v", records[0].Timestamp)
	require.Equal(t, map[string]string{"content-type": "application/cloudevents+json; charset=UTF-8"}, headersOf(records[0]))
	require.Nil(t, records[1].Key, "an event without a key")
	require.WithinDuration(t, time.Now(), records[1].Timestamp, time.Minute)
	require.Equal(t, map[string]string{"content-type": "application/json"}, headersOf(records[1]))
}

func TestKafkaClientStaysOpen(t *testing.T) {
	k := startKafka(t)
	client := k.client(t)
	p := kafkapub.New(client, k.topic(t, client, 1))
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, p.Publish(ctx, about("thread-1")))
	cancel()
	require.ErrorIs(t, p.Publish(ctx, about("thread-1")), context.Canceled)
	require.NoError(t, p.Publish(t.Context(), about("thread-1")))
	require.NoError(t, client.Ping(t.Context()))
}

// Old clients wait for ever with a record that they get after they were closed, so they must get none.
func TestKafkaClosedClientIsAnErrorAndGetsNoRecord(t *testing.T) {
	k := startKafka(t)
	var records recordCounter
	client := k.client(t, kgo.WithHooks(&records))
	p := kafkapub.New(client, k.topic(t, client, 1))
	require.NoError(t, p.Publish(t.Context(), about("thread-1")))
	client.Close()
	require.ErrorIs(t, p.Publish(t.Context(), about("thread-1")), kgo.ErrClientClosed)
	require.EqualValues(t, 1, records.Load())
}

// recordCounter counts the records that a client gets.
type recordCounter struct{ atomic.Int64 }

func (c *recordCounter) OnProduceRecordBuffered(*kgo.Record) { c.Add(1) }

func TestKafkaDecodeReadsHeadersInAnyCaseAndRefusesTombstones(t *testing.T) {
	body := []byte(`{"event":"streaming","event_type":"update"}`)
	traceparent := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	event, err := kafkapub.Decode(&kgo.Record{Value: body, Headers: []kgo.RecordHeader{
		{Key: "Content-Type", Value: []byte("application/json")}, {Key: "TraceParent", Value: []byte(traceparent)},
	}})
	require.NoError(t, err)
	require.Equal(t, traceparent, event.TraceParent)

	_, err = kafkapub.Decode(&kgo.Record{Key: []byte("thread-1")})
	require.ErrorContains(t, err, "publisher: not an event")
}

func TestKafkaNewPanicsOnMisuse(t *testing.T) {
	client := kafka{brokers: []string{freeAddr(t)}}.client(t)
	require.PanicsWithValue(t, "kafkapub: New: the client is nil", func() { kafkapub.New(nil, "events") })
	require.PanicsWithValue(t, "kafkapub: New: the topic is empty", func() { kafkapub.New(client, "") })
}
