package brokertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/publishertest"
	"github.com/afterspan/afterspan/publisher/redispub"
)

// redisMaxBytes is the limit of the servers, much less than the default.
const redisMaxBytes = 2 << 20

// startRedis starts a server that writes each command to disk before it answers.
func startRedis(t *testing.T) (*process, string) {
	t.Helper()
	return startRedisWith(t, "--proto-max-bulk-len", fmt.Sprint(redisMaxBytes))
}

func startRedisWith(t *testing.T, args ...string) (*process, string) {
	t.Helper()
	addr := freeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	client := redisClient(t, addr)
	return startProcess(t, &process{
		args: append([]string{
			requireProgram(t, "redis-server", "valkey-server"), "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(),
			"--appendonly", "yes", "--appendfsync", "always", "--save", "",
		}, args...),
		ready: func(ctx context.Context) error { return client.Ping(ctx).Err() },
	}), addr
}

func redisClient(t *testing.T, addr string) *redis.Client {
	return redisClientOf(t, &redis.Options{Addr: addr})
}

func redisClientOf(t *testing.T, options *redis.Options) *redis.Client {
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// redisServers are client options for the three servers that the conformance kit needs.
type redisServers struct {
	here, away, stuck *redis.Options
}

func startRedisServers(t *testing.T) redisServers {
	_, addr := startRedis(t)
	hanging, stuck := startRedis(t)
	hanging.pause(t)
	t.Cleanup(hanging.resume)
	return redisServers{
		here:  &redis.Options{Addr: addr},
		away:  &redis.Options{Addr: freeAddr(t), MaxRetries: -1}, // retries take a second
		stuck: &redis.Options{Addr: stuck},
	}
}

func TestRedisStreamsPassTheConformanceKit(t *testing.T) {
	servers := startRedisServers(t)
	for _, encoding := range []publisher.Encoding{publisher.Structured, publisher.Binary, publisher.Plain} {
		t.Run(encoding.String(), func(t *testing.T) {
			publishertest.Run(t, func(t *testing.T) publishertest.Target {
				open := func(server *redis.Options) publisher.Publisher {
					return redispub.New(redisClientOf(t, server), t.Name(), redispub.WithEncoding(encoding), redispub.WithMaxBytes(redisMaxBytes))
				}
				reader := &redisReader{client: redisClientOf(t, servers.here), name: t.Name(), last: "0"}
				return publishertest.Target{
					Publisher: open(servers.here), Receive: reader.receive, Away: open(servers.away), Stuck: open(servers.stuck),
					TooLarge: map[string]publisher.Event{"message": heavy(redisMaxBytes)},
				}
			})
		})
	}
}

// redisReader reads a stream from its beginning.
type redisReader struct {
	client  *redis.Client
	name    string
	last    string // the ID of the last entry that was read
	entries []redis.XMessage
}

func (r *redisReader) receive(ctx context.Context) (publishertest.Received, error) {
	for len(r.entries) == 0 {
		if err := r.read(ctx); err != nil {
			return publishertest.Received{}, err
		}
	}
	entry := r.entries[0]
	r.entries = r.entries[1:]
	event, err := redispub.Decode(entry)
	header := make(map[string]string)
	for name, value := range entry.Values {
		header[name] = value.(string)
	}
	return publishertest.Received{Event: event, Header: header}, err
}

// read waits a second for entries, since the client does not notice that ctx is cancelled.
func (r *redisReader) read(ctx context.Context) error {
	streams, err := r.client.XRead(ctx, &redis.XReadArgs{
		Streams: []string{r.name, r.last}, Count: 1000, Block: time.Second,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	r.entries = streams[0].Messages
	r.last = r.entries[len(r.entries)-1].ID
	return nil
}

func TestRedisPubSubPassesTheConformanceKit(t *testing.T) {
	servers := startRedisServers(t)
	for _, encoding := range []publisher.Encoding{publisher.Structured, publisher.Plain} {
		t.Run(encoding.String(), func(t *testing.T) {
			publishertest.Run(t, func(t *testing.T) publishertest.Target {
				open := func(server *redis.Options) publisher.Publisher {
					return redispub.New(redisClientOf(t, server), t.Name(), redispub.WithPubSub(), redispub.WithEncoding(encoding), redispub.WithMaxBytes(redisMaxBytes))
				}
				return publishertest.Target{
					Publisher: open(servers.here), Receive: subscribeRedis(t, servers.here),
					Away: open(servers.away), Stuck: open(servers.stuck),
					TooLarge: map[string]publisher.Event{"message": heavy(redisMaxBytes)},
				}
			})
		})
	}
}

// subscribeRedis subscribes to the channel that is named after the test.
func subscribeRedis(t *testing.T, server *redis.Options) func(context.Context) (publishertest.Received, error) {
	subscription := redisClientOf(t, server).Subscribe(t.Context(), t.Name())
	t.Cleanup(func() { require.NoError(t, subscription.Close()) })
	_, err := subscription.Receive(t.Context()) // the confirmation of the subscription
	require.NoError(t, err)
	messages := subscription.Channel(redis.WithChannelSize(1000))
	return func(ctx context.Context) (publishertest.Received, error) {
		select {
		case msg := <-messages:
			event, err := redispub.DecodePubSub(msg)
			return publishertest.Received{Event: event}, err
		case <-ctx.Done():
			return publishertest.Received{}, ctx.Err()
		}
	}
}

// One event that is larger than client-output-buffer-limit disconnects every subscriber.
func TestRedisPubSubRefusesWhatDisconnectsSubscribers(t *testing.T) {
	_, addr := startRedisWith(t)
	client := redisClient(t, addr)
	receive := subscribeRedis(t, &redis.Options{Addr: addr})
	live := redispub.New(client, t.Name(), redispub.WithPubSub())
	require.Equal(t, 4<<20, requireLimit(t, live, "message", heavy(33<<20)).Limit)
	requireExact(t, live, "message", 4<<20, 1, growContent)
	got, err := receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, "content", got.Event.ID)

	large := redispub.New(client, t.Name(), redispub.WithPubSub(), redispub.WithMaxBytes(5<<20))
	require.Equal(t, 5<<20, requireLimit(t, large, "message", heavy(5<<20)).Limit)
	unlimited := redispub.New(client, t.Name(), redispub.WithPubSub(), redispub.WithMaxBytes(0))
	require.NoError(t, unlimited.Publish(t.Context(), heavy(5<<20)))
	require.NoError(t, redispub.New(client, t.Name()+"/stream").Publish(t.Context(), heavy(5<<20)))
}

func TestRedisStream(t *testing.T) {
	_, addr := startRedis(t)
	client := redisClient(t, addr)

	t.Run("keeps about as many entries as WithMaxLen says", func(t *testing.T) {
		p := redispub.New(client, t.Name(), redispub.WithMaxLen(100))
		for range 500 {
			require.NoError(t, p.Publish(t.Context(), progress("t-1")))
		}
		kept := client.XLen(t.Context(), t.Name()).Val()
		require.GreaterOrEqual(t, kept, int64(100))
		require.Less(t, kept, int64(300), "about 100")
	})

	t.Run("keeps about 100,000 entries by default", func(t *testing.T) {
		fillStream(t, client, t.Name(), 101_000)
		require.NoError(t, redispub.New(client, t.Name()).Publish(t.Context(), progress("t-1")))
		kept := client.XLen(t.Context(), t.Name()).Val()
		require.GreaterOrEqual(t, kept, int64(100_000))
		require.Less(t, kept, int64(100_500), "about 100,000")
	})

	t.Run("keeps everything without a limit", func(t *testing.T) {
		fillStream(t, client, t.Name(), 101_000)
		require.NoError(t, redispub.New(client, t.Name(), redispub.WithMaxLen(0)).Publish(t.Context(), progress("t-1")))
		require.EqualValues(t, 101_001, client.XLen(t.Context(), t.Name()).Val())
	})

	t.Run("has fields that any client can read", func(t *testing.T) { requireRedisFields(t, client) })

	t.Run("has the same field names in all entries, which Redis then stores once", func(t *testing.T) {
		p := redispub.New(client, t.Name(), redispub.WithEncoding(publisher.Binary))
		var names []any
		for range 20 {
			require.NoError(t, p.Publish(t.Context(), progress("t-1")))
		}
		for _, entry := range rawEntries(t, client, t.Name()) {
			if names == nil {
				names = entry.names
			}
			require.Equal(t, names, entry.names)
		}
	})

	t.Run("returns a clear error if the key has another type", func(t *testing.T) {
		require.NoError(t, client.Set(t.Context(), "a string", "x", 0).Err())
		err := redispub.New(client, "a string").Publish(t.Context(), progressOf("e-1"))
		require.ErrorContains(t, err, `redispub: event e-1 to "a string": `)
		requireRedisError(t, err, "WRONGTYPE")
	})

	t.Run("returns a clear error for an entry that was trimmed while it was pending", func(t *testing.T) {
		require.NoError(t, redispub.New(client, t.Name()).Publish(t.Context(), progress("t-1")))
		require.NoError(t, client.XGroupCreate(t.Context(), t.Name(), "group", "0").Err())
		readGroup(t, client, t.Name(), ">")
		require.NoError(t, client.XTrimMaxLen(t.Context(), t.Name(), 0).Err())
		entry := readGroup(t, client, t.Name(), "0")
		_, err := redispub.Decode(entry)
		require.EqualError(t, err,
			"redispub: entry "+entry.ID+` has no field "data": it was trimmed, or is not an event`)
		require.True(t, publisher.IsPermanent(err))
	})
}

func progress(thread string) publisher.Event {
	return publisher.Event{Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress, ThreadID: thread}
}

// fillStream adds n entries with one command.
func fillStream(t *testing.T, client *redis.Client, name string, n int) {
	t.Helper()
	const script = `for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'i', i) end`
	require.ErrorIs(t, client.Eval(t.Context(), script, []string{name}, n).Err(), redis.Nil)
}

// readGroup reads one entry as a consumer of a group.
func readGroup(t *testing.T, client *redis.Client, name, from string) redis.XMessage {
	t.Helper()
	streams, err := client.XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: "group", Consumer: "consumer", Streams: []string{name, from},
	}).Result()
	require.NoError(t, err)
	require.Len(t, streams[0].Messages, 1)
	return streams[0].Messages[0]
}

// rawEntry is an entry with its field names in order.
type rawEntry struct {
	names  []any // in order
	fields map[any]any
}

func rawEntries(t *testing.T, client *redis.Client, name string) (entries []rawEntry) {
	t.Helper()
	reply, err := client.Do(t.Context(), "XRANGE", name, "-", "+").Slice()
	require.NoError(t, err)
	for _, entry := range reply {
		list := entry.([]any)[1].([]any)
		raw := rawEntry{fields: make(map[any]any)}
		for i := 0; i < len(list); i += 2 {
			raw.names = append(raw.names, list[i])
			raw.fields[list[i]] = list[i+1]
		}
		entries = append(entries, raw)
	}
	return entries
}

func requireRedisFields(t *testing.T, client *redis.Client) {
	event := publisher.Event{
		ID: "e-1", Kind: publisher.KindToolExecution, Type: publisher.TypeStart, ThreadID: "t-1", Sequence: 1,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	for encoding, want := range map[publisher.Encoding]map[any]any{
		publisher.Structured: {"content-type": "application/cloudevents+json; charset=UTF-8"},
		publisher.Plain:      {"content-type": "application/json"},
		publisher.Binary: {
			"content-type": "application/json", "ce_specversion": "1.0", "ce_id": "e-1", "ce_source": "afterspan",
			"ce_type": "afterspan.tool_execution.start", "ce_subject": "t-1", "ce_partitionkey": "t-1",
			"ce_keysequence": "00000000000000000001", "ce_traceparent": event.TraceParent,
		},
	} {
		name := fmt.Sprint(t.Name(), encoding)
		require.NoError(t, redispub.New(client, name, redispub.WithEncoding(encoding)).Publish(t.Context(), event))
		fields := rawEntries(t, client, name)[0].fields
		require.True(t, json.Valid([]byte(fields["data"].(string))))
		require.Equal(t, event.TraceParent, fields["traceparent"])
		for _, other := range []any{"data", "traceparent", "ce_time"} { // data and ce_time vary
			delete(fields, other)
		}
		require.Equal(t, want, fields, encoding)
	}
}

// requireRedisError requires that err comes from the server. The text of a server's error begins
// with its code.
func requireRedisError(t *testing.T, err error, code string) {
	t.Helper()
	var reply redis.Error
	require.ErrorAs(t, err, &reply)
	require.True(t, strings.HasPrefix(reply.Error(), code+" "), reply.Error())
}

func TestRedisErrorsTellNoPassword(t *testing.T) {
	const password = "hunter2"
	server, addr := startRedis(t)
	require.NoError(t, redisClient(t, addr).ConfigSet(t.Context(), "requirepass", "another").Err())

	options, err := redis.ParseURL("redis://somebody:" + password + "@" + addr)
	require.NoError(t, err)
	options.MaxRetries = -1
	p := redispub.New(redisClientOf(t, options), "events")
	err = p.Publish(t.Context(), progress("t-1"))
	requireRedisError(t, err, "WRONGPASS")
	require.NotContains(t, err.Error(), password)

	server.kill(t)
	err = p.Publish(t.Context(), progress("t-1"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NotContains(t, err.Error(), password)
}

func TestRedisPublishReturnsInTimeThoughTheConnectionTakesNoMore(t *testing.T) {
	server, addr := startRedis(t)
	server.pause(t)
	t.Cleanup(server.resume)
	client := redisClientOf(t, &redis.Options{
		Addr: addr,
		Dialer: func(_ context.Context, network, addr string) (net.Conn, error) {
			return narrowDialer{}.Dial(network, addr)
		},
	})
	requireInTimeThoughBlocked(t, redispub.New(client, "events"))
}

func TestRedisMisusePanics(t *testing.T) {
	client := redisClient(t, "127.0.0.1:1")
	require.PanicsWithValue(t, "redispub: New: the client is nil", func() { redispub.New(nil, "events") })
	require.PanicsWithValue(t, "redispub: New: the name of the stream is empty", func() { redispub.New(client, "") })
	require.PanicsWithValue(t, "redispub: New: publisher.Binary needs headers, and Pub/Sub has none: use Structured or Plain", func() {
		redispub.New(client, "events", redispub.WithPubSub(), redispub.WithEncoding(publisher.Binary))
	})
	require.NotPanics(t, func() { redispub.New(client, "events", nil) })
}

func TestRedisStreamIsWholeThroughKills(t *testing.T) {
	server, addr := startRedis(t)
	client := redisClient(t, addr)
	publishThroughKills(t, redispub.New(client, "events", redispub.WithMaxLen(0)), server, 5)
	requireWhole(t, readStream(t, client, "events"))
}

func readStream(t *testing.T, client *redis.Client, name string) (events []publisher.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	entries, err := client.XRange(ctx, name, "-", "+").Result()
	require.NoError(t, err)
	for _, entry := range entries {
		event, err := redispub.Decode(entry)
		require.NoError(t, err)
		events = append(events, event)
	}
	return events
}
