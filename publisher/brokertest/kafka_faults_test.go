package brokertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
)

// oneTopic returns a fake cluster, a client of it, and a topic with one partition.
func oneTopic(t *testing.T, opts ...kgo.Opt) (kafka, *kgo.Client, string) {
	k := startFakeKafka(t)
	client := k.client(t, opts...)
	return k, client, k.topic(t, client, 1)
}

// start calls Publish on a new goroutine, and returns the channel that receives its error.
func start(ctx context.Context, p publisher.Publisher, e publisher.Event) <-chan error {
	returned := make(chan error, 1)
	go func() { returned <- p.Publish(ctx, e) }()
	return returned
}

func TestKafkaWaitsForTheAcknowledgement(t *testing.T) {
	k, client, topic := oneTopic(t)
	held, release := k.hold(t, kmsg.Produce)
	returned := start(t.Context(), kafkapub.New(client, topic), about("thread-1"))
	<-held
	select {
	case err := <-returned:
		t.Fatalf("Publish returned %v before the broker answered", err)
	default:
	}
	release()
	require.NoError(t, <-returned)
}

func TestKafkaOnlyTheFirstEventOfATopicLingers(t *testing.T) {
	_, client, topic := oneTopic(t, kgo.ProducerLinger(time.Minute))
	p := kafkapub.New(client, topic)
	first := start(t.Context(), p, about("thread-1"))
	requireBuffered(t, client, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, client.Flush(ctx)) // ends the minute
	require.NoError(t, <-first)
	require.NoError(t, p.Publish(ctx, about("thread-1")))
}

func TestKafkaErrorsThatPassAreRetriedByTheClient(t *testing.T) {
	for _, passing := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut} {
		t.Run(passing.Message, func(t *testing.T) {
			k, client, topic := oneTopic(t)
			fault := k.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: passing, Count: 2})
			require.NoError(t, kafkapub.New(client, topic).Publish(t.Context(), about("thread-1")))
			require.Equal(t, 2, fault.Hits())
			require.EqualValues(t, 1, k.fake.PartitionInfo(topic, 0).HighWatermark, "records: the client is idempotent, so there is only one")
		})
	}
}

func TestKafkaErrorsThatStaySayWhatIsWrong(t *testing.T) {
	for _, staying := range []*kerr.Error{kerr.MessageTooLarge, kerr.TopicAuthorizationFailed, kerr.InvalidTimestamp} {
		t.Run(staying.Message, func(t *testing.T) {
			k, client, topic := oneTopic(t)
			k.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: staying})
			p := kafkapub.New(client, topic)
			err := p.Publish(t.Context(), about("thread-1"))
			require.ErrorIs(t, err, staying)
			require.ErrorContains(t, err, fmt.Sprintf("kafkapub: event event of thread-1 to %q: ", topic))
			require.NoError(t, p.Publish(t.Context(), about("thread-1")), "the next one")
		})
	}
}

func TestKafkaTopicThatDoesNotExistIsAnError(t *testing.T) {
	k := startKafka(t)
	client := k.client(t, kgo.UnknownTopicRetries(0))
	err := kafkapub.New(client, "afterspan-nowhere").Publish(t.Context(), about("thread-1"))
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
}

func TestKafkaRecordOnItsWayWhenTheContextEndsMayArrive(t *testing.T) {
	k, client, topic := oneTopic(t)
	held, release := k.hold(t, kmsg.Produce)
	ctx, cancel := context.WithCancel(t.Context())
	returned := start(ctx, kafkapub.New(client, topic), about("thread-1"))
	<-held
	cancel()
	require.ErrorIs(t, <-returned, context.Canceled)
	release()
	require.NoError(t, client.Flush(t.Context()))
	event, err := kafkapub.Decode(k.read(t, topic, 1)[0])
	require.NoError(t, err)
	require.Equal(t, "thread-1", event.ThreadID)
}

// lapsing is a context whose deadline passes when done is closed.
type lapsing struct {
	context.Context
	done chan struct{}
}

func (l lapsing) Done() <-chan struct{} { return l.done }

func (l lapsing) Err() error {
	select {
	case <-l.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// If the context of the first record that waits for a partition ends, the client fails all of them.
func TestKafkaContextThatEndsTakesNoOtherEventWithIt(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	late := lapsing{Context: t.Context(), done: make(chan struct{})}
	for name, test := range map[string]struct {
		ctx  context.Context
		end  func()
		want error
	}{
		"cancelled": {cancelled, cancel, context.Canceled},
		"too late":  {late, func() { close(late.done) }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			k, client, topic := oneTopic(t)
			p := kafkapub.New(client, topic)
			away := k.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: -1})
			first := start(test.ctx, p, about("thread-1"))
			require.NoError(t, away.Wait(t.Context(), 1))
			others := make([]<-chan error, 10)
			for i := range others {
				others[i] = start(t.Context(), p, about("thread-1"))
			}
			requireBuffered(t, client, 11)
			test.end()
			require.ErrorIs(t, <-first, test.want)
			away.Remove()
			for _, other := range others {
				require.NoError(t, <-other)
			}
		})
	}
}

func requireBuffered(t *testing.T, client *kgo.Client, records int64) {
	t.Helper()
	require.Eventually(t, func() bool { return client.BufferedProduceRecords() == records }, time.Minute, time.Millisecond)
}

func TestKafkaContextThatEndsWhileTheClientRegistersTakesNoOtherEventWithIt(t *testing.T) {
	k, client, topic := oneTopic(t)
	p := kafkapub.New(client, topic)
	held, release := k.hold(t, kmsg.InitProducerID)
	ctx, cancel := context.WithCancel(t.Context())
	first := start(ctx, p, about("thread-1"))
	<-held
	other := start(t.Context(), p, about("thread-1"))
	requireBuffered(t, client, 2)
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	release()
	require.NoError(t, <-other)
}

func TestKafkaDeadlineIsTheErrorWhileRecordsWait(t *testing.T) {
	k, client, topic := oneTopic(t)
	k.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p := kafkapub.New(client, topic)
	first, second := start(ctx, p, about("thread-1")), start(ctx, p, about("thread-1"))
	require.ErrorIs(t, <-first, context.DeadlineExceeded)
	require.ErrorIs(t, <-second, context.DeadlineExceeded)
	require.NoError(t, client.Flush(t.Context())) // no record is left in the client
	require.Zero(t, k.fake.PartitionInfo(topic, 0).HighWatermark)
}

// If the buffer is full, Publish waits no longer than its context.
func TestKafkaFullBufferWaitsNoLongerThanTheContext(t *testing.T) {
	k, client, topic := oneTopic(t, kgo.MaxBufferedRecords(1))
	held, release := k.hold(t, kmsg.Produce)
	p := kafkapub.New(client, topic)
	first := start(t.Context(), p, about("thread-1"))
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Publish(ctx, about("thread-2")), context.DeadlineExceeded)
	release()
	require.NoError(t, <-first)
	require.NoError(t, p.Publish(t.Context(), about("thread-3")))
}

// If the context of the client has ended, as it does when the client is closed, Publish must neither
// hang nor loop.
func TestKafkaClientWhoseContextHasEndedIsAnError(t *testing.T) {
	base, cancelClient := context.WithCancel(t.Context())
	_, client, topic := oneTopic(t, kgo.WithContext(base))
	p := kafkapub.New(client, topic)
	require.NoError(t, p.Publish(t.Context(), about("thread-1")))
	cancelClient()
	require.ErrorIs(t, p.Publish(t.Context(), about("thread-1")), kgo.ErrClientClosed)
}

func TestKafkaErrorsHideThePassword(t *testing.T) {
	const secret = "s3cr3t-of-kafka"
	k := startFakeKafka(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "agent", "right"), kfake.Superuser("SCRAM-SHA-256", "agent", "right"))
	for name, mechanism := range map[string]kgo.Opt{
		"PLAIN":         kgo.SASL(plain.Auth{User: "agent", Pass: secret}.AsMechanism()),
		"SCRAM-SHA-256": kgo.SASL(scram.Auth{User: "agent", Pass: secret}.AsSha256Mechanism()),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := kafkapub.New(k.client(t, mechanism), "events").Publish(ctx, about("thread-1"))
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

const streamPartitions = 12

func TestKafkaStreamIsWholeThroughBrokersThatFail(t *testing.T) {
	k := startKafka(t)
	client := k.client(t)
	topic := k.topic(t, client, streamPartitions)
	m := core.New()
	ordered := publisher.NewOrdered(m, kafkapub.New(client, topic), publisher.WithBuffer(0, 0), publisher.WithRetry(untilDelivered))
	began := time.Now()
	for i := range streamEvents {
		ordered.Go(t.Context(), publisher.Event{
			ID:   fmt.Sprint("event-", i),
			Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress,
			ThreadID: fmt.Sprint("thread-", i%streamKeys),
			Data:     map[string]any{"n": i},
		})
	}
	failures := k.failAtRandom(t, m)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	stats, err := m.Shutdown(ctx)
	require.NoError(t, err)
	require.EqualValues(t, streamEvents, m.Stats().Completed, "acknowledged, after %+v", stats)
	t.Logf("%d events of %d keys acknowledged in %v, through %v", streamEvents, streamKeys, time.Since(began).Round(time.Millisecond), failures())
	requireWhole(t, k.readStream(t, topic))
}

// failAtRandom cuts connections, loses acknowledgements and restarts brokers, at random moments of
// the stream. The function that it returns says how often.
func (k kafka) failAtRandom(t *testing.T, m *core.Manager) (count func() string) {
	t.Helper()
	if k.fake == nil {
		return func() string { return "no failures: this is a real cluster" }
	}
	var cuts atomic.Int64
	restarts := 0
	k.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.fake.KeepControl()
		if rand.N(20) != 0 {
			return nil, nil, false
		}
		cuts.Add(1)
		return nil, errors.New("cut"), true
	})
	var faults []*kfake.FaultHandle
	for _, moment := range randomMoments(10) {
		awaitCompleted(t, m, moment)
		for _, err := range []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.NotLeaderForPartition, kerr.KafkaStorageError} {
			faults = append(faults, k.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: 1 + rand.N(3)}))
		}
		k.restart(t, rand.N(len(k.brokers)))
		restarts++
	}
	return func() string {
		hits := 0
		for _, fault := range faults {
			hits += fault.Hits()
		}
		return fmt.Sprintf("%d requests cut, %d answered with an error, %d restarts of a broker", cuts.Load(), hits, restarts)
	}
}

// restart removes a broker, whose partitions go to others, and brings it back on the same port.
func (k kafka) restart(t *testing.T, node int) {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", k.brokers[node])
	require.NoError(t, err)
	require.NoError(t, k.fake.RemoveNode(int32(node)))
	_, _, err = k.fake.AddNode(int32(node), addr.Port)
	require.NoError(t, err)
	k.fake.ShufflePartitionLeaders()
}

// readStream returns all events of a topic.
func (k kafka) readStream(t *testing.T, topic string) (events []publisher.Event) {
	t.Helper()
	for _, r := range k.read(t, topic, k.end(t, topic, streamPartitions)) {
		event, err := kafkapub.Decode(r)
		require.NoError(t, err)
		events = append(events, event)
	}
	return events
}

// end returns the number of records of a topic.
func (k kafka) end(t *testing.T, topic string, partitions int32) (records int) {
	t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	in := kmsg.NewListOffsetsRequestTopic()
	in.Topic = topic
	for partition := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = partition, -1
		in.Partitions = append(in.Partitions, p)
	}
	req.Topics = append(req.Topics, in)
	for _, shard := range k.client(t).RequestSharded(t.Context(), req) {
		require.NoError(t, shard.Err)
		for _, out := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range out.Partitions {
				require.NoError(t, kerr.ErrorForCode(p.ErrorCode))
				records += int(p.Offset)
			}
		}
	}
	return records
}
