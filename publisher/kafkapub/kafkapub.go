// Package kafkapub publishes events to Kafka. Its client is github.com/twmb/franz-go.
package kafkapub

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to Kafka. Make one with [New]. It is safe for
// concurrent use.
type Publisher struct {
	client   *kgo.Client
	topic    string
	encoding publisher.Encoding
	limits   limits
}

// An Option configures a [Publisher]. A nil option does nothing.
type Option func(*Publisher)

// WithEncoding sets the encoding of the events. The default is [publisher.Structured]. An unknown
// encoding panics.
func WithEncoding(e publisher.Encoding) Option {
	if e > publisher.Plain {
		panic(fmt.Sprintf("kafkapub: WithEncoding: %v is unknown", e))
	}
	return func(p *Publisher) { p.encoding = e }
}

// New returns a publisher to the topic. The key of a record is the key of its event, so the events
// of a key are in one partition, in order. The client's partitioner chooses a partition for events
// without a key. The options of the client say how many replicas must acknowledge a record (by
// default all replicas in sync) and how long it tries. The publisher never closes the client. New
// panics if client is nil or topic is empty.
func New(client *kgo.Client, topic string, opts ...Option) *Publisher {
	switch {
	case client == nil:
		panic("kafkapub: New: the client is nil")
	case topic == "":
		panic("kafkapub: New: the topic is empty")
	}
	p := &Publisher{client: client, topic: topic, limits: limitsOf(client, topic)}
	for _, opt := range opts {
		if opt != nil {
			opt(p)
		}
	}
	return p
}

// prefix stands before the names of CloudEvents attributes in the headers.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
const prefix = "ce_"

// Publish sends the event, and returns when the brokers have acknowledged it or ctx is done. If ctx
// is done while the record is being sent, the record may still arrive, since the client cannot
// cancel it.
//
// If the client is closed, Publish returns [kgo.ErrClientClosed].
//
// If the record has more bytes than the client's ProducerBatchMaxBytes or MaxBufferedBytes allows,
// Publish sends nothing and returns a [publisher.LimitError].
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	record := p.record(m, event)
	err = p.limits.check(record)
	if err == nil {
		err = publisher.Bound(ctx, func() error { return p.produce(ctx, record) })
	}
	if err != nil {
		return fmt.Errorf("kafkapub: event %s to %q: %w", publisher.Abbreviate(m.ID), p.topic, err)
	}
	return nil
}

// produce sends the record, and sends it again if it failed together with another: if the first
// record that waits for a partition is cancelled, the client fails all records behind it with the
// same error.
//
// produce calls ProduceSync, since Produce lingers: for 10 ms by default, in which Ordered would send
// only one event of a key. ProduceSync lingers only for the first event of a topic.
func (p *Publisher) produce(ctx context.Context, record *kgo.Record) error {
	if p.client.Context().Err() != nil { // up to v1.21.3, a closed client would wait for ever
		return kgo.ErrClientClosed
	}
	// Without ctx's deadline, the record's context can only end with Canceled.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	for {
		attempt := *record // the client writes to it
		err := p.client.ProduceSync(sending, &attempt).FirstErr()
		if !errors.Is(err, context.Canceled) {
			return mark(err, record)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (p *Publisher) record(m publisher.Message, event publisher.Event) *kgo.Record {
	r := &kgo.Record{Topic: p.topic, Value: m.Body, Timestamp: event.Timestamp}
	if m.Key != "" {
		r.Key = []byte(m.Key)
	}
	for name, value := range m.Header {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r
}

// Decode returns the event in a record, in any encoding. An error of Decode is
// [publisher.Permanent].
func Decode(r *kgo.Record) (publisher.Event, error) {
	m := publisher.Message{Key: string(r.Key), Header: make(map[string]string), Body: r.Value}
	for _, h := range r.Headers {
		m.Header[strings.ToLower(h.Key)] = string(h.Value)
	}
	return publisher.Decode(m)
}
