// Package redispub publishes events to Redis, with github.com/redis/go-redis: to a stream, or by Pub/Sub.
package redispub

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to Redis. Make one with [New]. It is safe for concurrent use.
type Publisher struct {
	client   redis.UniversalClient
	name     string
	maxLen   int64
	pubSub   bool
	encoding publisher.Encoding
}

// An Option configures a [Publisher]. A nil one does nothing.
type Option func(*Publisher)

// WithMaxLen sets how many entries the stream keeps, about: XADD trims older ones, read or not. The default is
// 100,000; 0 or less is no limit, and then what has been read must be trimmed by others.
func WithMaxLen(n int64) Option {
	return func(p *Publisher) { p.maxLen = max(n, 0) }
}

// WithPubSub makes it PUBLISH to a channel. Only who listens at that moment gets the event: it is lost for everybody
// else, and no error says so. The default is a stream.
func WithPubSub() Option {
	return func(p *Publisher) { p.pubSub = true }
}

// WithEncoding sets the form of the events. The default is [publisher.Structured].
func WithEncoding(e publisher.Encoding) Option {
	return func(p *Publisher) { p.encoding = e }
}

// New returns a publisher that appends each event to the stream of that name. It never closes the client, which connects,
// and connects anew, by itself. A command whose answer is lost the client sends again, as its MaxRetries says, so an event may be
// there twice, with the same ID.
//
// New panics if client is nil, name empty, or [publisher.Binary] asked for with Pub/Sub, which has no headers.
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
		panic("redispub: New: Pub/Sub has no headers for publisher.Binary: use Structured or Plain")
	}
	return p
}

// The fields of an entry: the event, beside the headers of the message. Attributes of CloudEvents have a prefix, as in Kafka.
const (
	dataField = "data"
	prefix    = "ce_"
)

// Publish sends the event, and returns when Redis has answered, or ctx is done. The client may go on for as long as its own
// timeouts say, unless its ContextTimeoutEnabled is set.
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	err = publisher.Bound(ctx, func() error { return p.send(ctx, m) })
	if err != nil {
		return fmt.Errorf("redispub: event %s to %q: %w", m.ID, p.name, err)
	}
	return nil
}

func (p *Publisher) send(ctx context.Context, m publisher.Message) error {
	if p.pubSub {
		return p.client.Publish(ctx, p.name, m.Body).Err()
	}
	values := []any{dataField, m.Body}
	for _, name := range slices.Sorted(maps.Keys(m.Header)) { // Redis stores names once for entries that have the same, in the same order
		values = append(values, name, m.Header[name])
	}
	return p.client.XAdd(ctx, &redis.XAddArgs{Stream: p.name, MaxLen: p.maxLen, Approx: true, Values: values}).Err()
}

// Decode returns the event that an entry of the stream is, whatever its encoding. An entry without the field data is an error:
// one that was trimmed while a consumer group had it pending comes so.
func Decode(entry redis.XMessage) (publisher.Event, error) {
	m := publisher.Message{Header: make(map[string]string)}
	for name, value := range entry.Values {
		m.Header[name], _ = value.(string)
	}
	body, ok := m.Header[dataField]
	if !ok {
		return publisher.Event{}, fmt.Errorf("redispub: entry %s has no field %q: it was trimmed, or is not an event", entry.ID, dataField)
	}
	m.Body = []byte(body)
	return publisher.Decode(m)
}

// DecodePubSub returns the event that a message of Pub/Sub is.
func DecodePubSub(msg *redis.Message) (publisher.Event, error) {
	return publisher.Decode(publisher.Message{Body: []byte(msg.Payload)})
}
