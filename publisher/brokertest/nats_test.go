package brokertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/natspub"
	"github.com/afterspan/afterspan/publisher/publishertest"
)

var allEncodings = []publisher.Encoding{publisher.Structured, publisher.Binary, publisher.Plain}

// natsServers are the servers that the conformance kit needs: the URL of one that works, and
// connections whose server was killed or hangs.
type natsServers struct {
	url         string
	away, stuck *nats.Conn
}

func startNATSServers(t *testing.T) natsServers {
	_, url := startNATS(t)
	gone, goneURL := startNATS(t)
	hanging, hangingURL := startNATS(t)
	servers := natsServers{url: url, away: warmConn(t, goneURL), stuck: warmConn(t, hangingURL)}
	gone.kill(t)
	require.Eventually(t, servers.away.IsReconnecting, time.Minute, time.Millisecond)
	hanging.pause(t)
	t.Cleanup(hanging.resume)
	return servers
}

// warmConn returns a connection that has already started the goroutines of its first request.
func warmConn(t *testing.T, url string) *nats.Conn {
	nc := connectNATS(t, url)
	_, err := nc.RequestWithContext(t.Context(), "nobody", nil)
	require.ErrorIs(t, err, nats.ErrNoResponders)
	return nc
}

func TestJetStreamPassesTheConformanceKit(t *testing.T) {
	servers := startNATSServers(t)
	for _, encoding := range allEncodings {
		t.Run(encoding.String(), func(t *testing.T) {
			publishertest.Run(t, func(t *testing.T) publishertest.Target {
				open := func(nc *nats.Conn) publisher.Publisher {
					return natspub.New(jetStreamOf(t, nc), "events", natspub.WithEncoding(encoding))
				}
				nc := connectNATS(t, servers.url)
				stream := createStream(t, jetStreamOf(t, nc), "EVENTS", "events")
				return publishertest.Target{
					Publisher: open(nc), Receive: consume(t, stream), Away: open(servers.away), Stuck: open(servers.stuck),
					TooLarge: tooLargeForStreams(encoding),
				}
			})
		})
	}
}

// consume returns a function that returns the next event of the stream.
func consume(t *testing.T, stream jetstream.Stream) func(context.Context) (publishertest.Received, error) {
	consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
	require.NoError(t, err)
	return func(ctx context.Context) (publishertest.Received, error) {
		for {
			msg, err := consumer.Next(jetstream.FetchMaxWait(time.Second))
			if err == nil {
				return received(msg.Headers(), msg.Data())
			}
			if ctx.Err() != nil || !errors.Is(err, nats.ErrTimeout) {
				return publishertest.Received{}, err
			}
		}
	}
}

func received(header nats.Header, data []byte) (publishertest.Received, error) {
	event, err := natspub.Decode(header, data)
	got := publishertest.Received{Event: event, Header: make(map[string]string)}
	for name := range header {
		got.Header[strings.ToLower(name)] = header.Get(name)
	}
	return got, err
}

func TestCoreNATSPassesTheConformanceKit(t *testing.T) {
	servers := startNATSServers(t)
	for _, encoding := range allEncodings {
		t.Run(encoding.String(), func(t *testing.T) {
			publishertest.Run(t, func(t *testing.T) publishertest.Target {
				open := func(nc *nats.Conn) publisher.Publisher {
					return natspub.NewCore(nc, "events", natspub.WithEncoding(encoding))
				}
				subscription := subscribe(t, connectNATS(t, servers.url), "events")
				return publishertest.Target{
					Publisher: open(connectNATS(t, servers.url)), Away: open(servers.away), Stuck: open(servers.stuck),
					TooLarge: tooLargeForNATS(),
					Receive: func(ctx context.Context) (publishertest.Received, error) {
						msg, err := subscription.NextMsgWithContext(ctx)
						if err != nil {
							return publishertest.Received{}, err
						}
						return received(msg.Header, msg.Data)
					},
				}
			})
		})
	}
}

// subscribe returns a subscription that the server has confirmed, and that drops no messages.
func subscribe(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	subscription, err := nc.SubscribeSync(subject)
	require.NoError(t, err)
	require.NoError(t, subscription.SetPendingLimits(-1, -1))
	require.NoError(t, nc.Flush())
	return subscription
}

func TestJetStreamIsWholeThroughKills(t *testing.T) {
	server, url := startNATS(t)
	js := &countingJetStream{JetStream: jetStreamOf(t, connectNATS(t, url))}
	stream := createStream(t, js, "EVENTS", "events.>")
	p := natspub.New(js, "", natspub.WithSubjectFunc(func(e publisher.Event) string { return "events." + e.ThreadID }))
	publishThroughKills(t, impatient{p}, server, 3)
	arrived := readJetStream(t, stream)
	t.Logf("the stream dropped %d duplicates", js.duplicates.Load())
	requireWhole(t, arrived)
	require.Len(t, arrived, streamEvents, "no duplicate is stored")
}

// impatient gives each attempt a second, since the client does not report that a connection has
// died while Publish waits for an answer.
type impatient struct{ publisher.Publisher }

func (i impatient) Publish(ctx context.Context, e publisher.Event) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return i.Publisher.Publish(ctx, e)
}

// countingJetStream counts the acknowledgements of messages that the stream had already.
type countingJetStream struct {
	jetstream.JetStream
	duplicates atomic.Int64
}

func (c *countingJetStream) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := c.JetStream.PublishMsg(ctx, m, opts...)
	if err == nil && ack.Duplicate {
		c.duplicates.Add(1)
	}
	return ack, err
}

// readJetStream returns all events that are in the stream now.
func readJetStream(t *testing.T, stream jetstream.Stream) (events []publisher.Event) {
	t.Helper()
	consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
	require.NoError(t, err)
	for stored := int(storedIn(t, stream)); len(events) < stored; {
		batch, err := consumer.Fetch(min(1000, stored-len(events)), jetstream.FetchMaxWait(time.Minute))
		require.NoError(t, err)
		for msg := range batch.Messages() {
			event, err := natspub.Decode(msg.Headers(), msg.Data())
			require.NoError(t, err)
			events = append(events, event)
		}
		require.NoError(t, batch.Error())
	}
	return events
}

func TestJetStream(t *testing.T) {
	server, url := startNATS(t)
	nc := connectNATS(t, url)
	js := jetStreamOf(t, nc)

	t.Run("stores an event once if it was published twice, even after a kill", func(t *testing.T) {
		stream := createStream(t, js, "EVENTS", "events")
		p := natspub.New(js, "events")
		for _, event := range []publisher.Event{progressOf("e-1"), progressOf("e-2"), progressOf("e-1")} {
			require.NoError(t, p.Publish(t.Context(), event))
		}
		require.EqualValues(t, 2, storedIn(t, stream))
		server.kill(t)
		server.start(t)
		require.Eventually(t, nc.IsConnected, time.Minute, time.Millisecond)
		require.NoError(t, p.Publish(t.Context(), progressOf("e-2")))
		require.EqualValues(t, 2, storedIn(t, stream))
	})

	t.Run("gets each event on the subject that WithSubjectFunc chooses", func(t *testing.T) {
		stream := createStream(t, js, "EVENTS", "events.*")
		p := natspub.New(js, "unused", natspub.WithSubjectFunc(func(e publisher.Event) string { return "events." + e.ThreadID }))
		require.NoError(t, p.Publish(t.Context(), progress("t-1")))
		require.NoError(t, p.Publish(t.Context(), progress("t-2")))
		msg, err := stream.GetLastMsgForSubject(t.Context(), "events.t-1")
		require.NoError(t, err)
		require.EqualValues(t, 1, msg.Sequence)
	})

	t.Run("returns a clear error if no stream has the subject", func(t *testing.T) {
		err := natspub.New(js, "nobody").Publish(t.Context(), progressOf("e-1"))
		require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
		require.ErrorContains(t, err, `natspub: event e-1 to "nobody": `)
		require.ErrorContains(t, err, ": no stream has this subject, or JetStream is disabled")
	})

	t.Run("returns an error if the stream refuses an event", func(t *testing.T) {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "FULL", Subjects: []string{"full"}, MaxMsgs: 1, Discard: jetstream.DiscardNew,
		})
		require.NoError(t, err)
		p := natspub.New(js, "full")
		require.NoError(t, p.Publish(t.Context(), progress("t-1")))
		var refusal *jetstream.APIError
		require.ErrorAs(t, p.Publish(t.Context(), progress("t-1")), &refusal)
	})

	t.Run("has only our headers, in printable ASCII, whatever the event contains", func(t *testing.T) {
		requirePrintableHeaders(t, createStream(t, js, "EVENTS", "events"), js)
	})

	t.Run("has the headers of the CloudEvents binding in Binary", func(t *testing.T) {
		requireBinaryHeaders(t, createStream(t, js, "EVENTS", "events"), js)
	})
}

func requirePrintableHeaders(t *testing.T, stream jetstream.Stream, js jetstream.JetStream) {
	const odd = "a\r\nInjected: yes\r\n\r\n\x00 ünïcödé 🛰 \"%41\" \t"
	for i, encoding := range allEncodings {
		p := natspub.New(js, "events", natspub.WithEncoding(encoding))
		sent := publisher.Event{ID: fmt.Sprint(i, odd), ThreadID: odd, NodeName: odd, Kind: odd, Type: odd}
		require.NoError(t, p.Publish(t.Context(), sent))
		msg, err := stream.GetMsg(t.Context(), uint64(i)+1)
		require.NoError(t, err)
		require.NotContains(t, msg.Header, "Injected")
		for name, values := range msg.Header {
			require.Len(t, values, 1)
			require.Regexp(t, `^[ -~]+$`, values[0], name)
		}
		got, err := natspub.Decode(msg.Header, msg.Data)
		require.NoError(t, err)
		require.Equal(t, sent.ID, got.ID)
		require.Equal(t, odd, got.ThreadID)
	}
	require.EqualValues(t, len(allEncodings), storedIn(t, stream))
}

func requireBinaryHeaders(t *testing.T, stream jetstream.Stream, js jetstream.JetStream) {
	event := publisher.Event{
		ID: "e 1", Kind: publisher.KindToolExecution, Type: publisher.TypeStart, ThreadID: "Euro € 😀", Timestamp: time.Unix(1_700_000_000, 0),
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	require.NoError(t, natspub.New(js, "events", natspub.WithEncoding(publisher.Binary)).Publish(t.Context(), event))
	msg, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	const thread = "Euro%20%E2%82%AC%20%F0%9F%98%80" // as in the binding's own example
	require.Equal(t, nats.Header{
		"Nats-Msg-Id": {"e%201"}, "content-type": {"application/json"}, "traceparent": {event.TraceParent},
		"ce-specversion": {"1.0"}, "ce-id": {"e%201"}, "ce-source": {"afterspan"}, "ce-type": {"afterspan.tool_execution.start"},
		"ce-subject": {thread}, "ce-partitionkey": {thread}, "ce-time": {"2023-11-14T22:13:20Z"},
		"ce-datacontenttype": {"application/json"}, "ce-traceparent": {event.TraceParent},
	}, msg.Header)
}

func TestNATSMisusePanics(t *testing.T) {
	nc := &nats.Conn{}
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.PanicsWithValue(t, "natspub: New: the JetStream is nil", func() { natspub.New(nil, "events") })
	require.PanicsWithValue(t, "natspub: NewCore: the connection is nil", func() { natspub.NewCore(nil, "events") })
	require.PanicsWithValue(t, "natspub: NewCore: the subject is empty and WithSubjectFunc is not set", func() {
		natspub.NewCore(nc, "")
	})
	require.PanicsWithValue(t, `natspub: New: "events.>" is not a valid subject to publish to`, func() { natspub.New(js, "events.>") })
	require.PanicsWithValue(t, "natspub: WithSubjectFunc: the function is nil", func() { natspub.WithSubjectFunc(nil) })
	require.NotPanics(t, func() { natspub.New(js, "events", nil) })
}
