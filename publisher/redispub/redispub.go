// Package redispub publishes events to Redis, to a stream or over Pub/Sub. Its client is
// github.com/redis/go-redis.
package redispub

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to Redis. Make one with [New]. It is safe for
// concurrent use.
type Publisher struct {
	client   redis.UniversalClient
	name     string
	maxLen   int64
	maxBytes *int // nil means the default
	pubSub   bool
	encoding publisher.Encoding
}

// An Option configures a [Publisher]. A nil option does nothing.
type Option func(*Publisher)

// WithMaxLen sets how many entries the stream keeps, approximately. XADD trims older entries,
// whether they were read or not. The default is 100,000. 0 or less means no limit; then somebody
// else must trim the entries that have been read.
func WithMaxLen(n int64) Option {
	return func(p *Publisher) { p.maxLen = max(n, 0) }
}

// WithMaxBytes sets how many bytes the fields of an entry, or a message of Pub/Sub, may have in all.
// Publish refuses larger ones. 0 or less means no limit.
//
// The default for a stream is 512 MiB (536,870,912), the default of the server's
// proto-max-bulk-len, which is the limit of a single field. The protocol does not tell the limit.
// If a field is larger, the server closes the connection.
//
// The default for Pub/Sub is 4 MiB (4,194,304). The server disconnects every subscriber that has
// more than 32 MiB of messages still to read, or more than 8 MiB for a minute, and Publish is not
// told. These are the defaults of client-output-buffer-limit. An event may use half of the lower
// one.
func WithMaxBytes(n int) Option {
	return func(p *Publisher) { p.maxBytes = &n }
}

// The defaults of WithMaxBytes.
const streamBytes, pubSubBytes = 512 << 20, 4 << 20

// WithPubSub makes the publisher send to a Pub/Sub channel, with PUBLISH. An event reaches only the
// current subscribers. If there are none, it is lost and no error says so. The default is a stream.
func WithPubSub() Option {
	return func(p *Publisher) { p.pubSub = true }
}

// WithEncoding sets the encoding of the events. The default is [publisher.Structured]. An unknown
// encoding panics.
func WithEncoding(e publisher.Encoding) Option {
	if e > publisher.Plain {
		panic(fmt.Sprintf("redispub: WithEncoding: %v is unknown", e))
	}
	return func(p *Publisher) { p.encoding = e }
}

// New returns a publisher that appends each event to the stream of that name or, with [WithPubSub],
// sends it to the channel of that name. It never closes the client, which connects and reconnects
// by itself. If the answer to a command is lost, the client sends the command again, up to
// MaxRetries times. An event may therefore be in the stream twice, with the same ID.
//
// New panics if client is nil or name is empty. It also panics if [publisher.Binary] is combined
// with Pub/Sub, which has no headers.
func New(client redis.UniversalClient, name string, opts ...Option) *Publisher {
	p := &Publisher{client: client, name: name, maxLen: 100_000}
	for _, opt := range opts {
		if opt != nil {
			opt(p)
		}
	}
	switch {
	case client == nil:
		panic("redispub: New: the client is nil")
	case name == "":
		panic("redispub: New: the name of the stream is empty")
	case p.pubSub && p.encoding == publisher.Binary:
		panic("redispub: New: publisher.Binary needs headers, and Pub/Sub has none: use Structured or Plain")
	}
	return p
}

// An entry has a field for the body of the message and a field for each header. The attributes of
// CloudEvents have the prefix that they have in Kafka.
const (
	dataField = "data"
	prefix    = "ce_"
)

// Publish sends the event, and returns when Redis has answered or ctx is done. If ctx is done
// first, the client may continue until its own timeouts expire, unless its ContextTimeoutEnabled is
// set. If the event is too large, Publish sends nothing and returns a [publisher.LimitError].
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	command, size := p.command(m)
	err = publisher.CheckLimit("message", size, p.limit(), "WithMaxBytes")
	if err == nil {
		err = publisher.Bound(ctx, func() error { return command(ctx) })
	}
	if err != nil {
		return fmt.Errorf("redispub: event %s to %q: %w", publisher.Abbreviate(m.ID), p.name, err)
	}
	return nil
}

// limit returns how many bytes a message may have.
func (p *Publisher) limit() int {
	switch {
	case p.maxBytes != nil:
		return *p.maxBytes
	case p.pubSub:
		return pubSubBytes
	default:
		return streamBytes
	}
}

// command returns the command that sends the message, and the size of the message in bytes.
func (p *Publisher) command(m publisher.Message) (command func(context.Context) error, size int) {
	if p.pubSub {
		return func(ctx context.Context) error { return p.client.Publish(ctx, p.name, m.Body).Err() }, len(m.Body)
	}
	values, size := []any{dataField, m.Body}, len(dataField)+len(m.Body)
	// Redis stores the names of fields once for entries that have the same names in the same order.
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		values = append(values, name, m.Header[name])
		size += len(name) + len(m.Header[name])
	}
	return func(ctx context.Context) error {
		return p.client.XAdd(ctx, &redis.XAddArgs{Stream: p.name, MaxLen: p.maxLen, Approx: true, Values: values}).Err()
	}, size
}

// Decode returns the event in an entry of the stream, in any encoding. An entry without the field
// data is an error. A consumer group can deliver such an entry, if it was trimmed while it was
// pending. An error of Decode is [publisher.Permanent].
func Decode(entry redis.XMessage) (publisher.Event, error) {
	m := publisher.Message{Header: make(map[string]string)}
	for name, value := range entry.Values {
		m.Header[name], _ = value.(string)
	}
	body, ok := m.Header[dataField]
	if !ok {
		return publisher.Event{}, publisher.Permanent(fmt.Errorf("redispub: entry %s has no field %q: it was trimmed, or is not an event", entry.ID, dataField))
	}
	m.Body = []byte(body)
	return publisher.Decode(m)
}

// DecodePubSub returns the event in a message of Pub/Sub.
func DecodePubSub(msg *redis.Message) (publisher.Event, error) {
	return publisher.Decode(publisher.Message{Body: []byte(msg.Payload)})
}
