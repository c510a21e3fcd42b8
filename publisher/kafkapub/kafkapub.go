// Package kafkapub publishes events to Kafka, with github.com/twmb/franz-go.
package kafkapub

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to Kafka. Make one with [New]. It is safe for concurrent use.
type Publisher struct {
	client   *kgo.Client
	topic    string
	encoding publisher.Encoding
}

// An Option configures a [Publisher]. A nil one does nothing.
type Option func(*Publisher)

// WithEncoding sets the form of the events. The default is [publisher.Structured].
func WithEncoding(e publisher.Encoding) Option {
	return func(p *Publisher) { p.encoding = e }
}

// New returns a publisher to the topic. The record's key is the event's key, so that the events of a key are in one
// partition, in order; events without a key go where the client's partitioner likes. It never closes the client, whose
// options say how many replicas must acknowledge (all of them in sync, by default), and how long it tries.
// New panics if client is nil or topic empty.
func New(client *kgo.Client, topic string, opts ...Option) *Publisher {
	switch {
	case client == nil:
		panic("kafkapub: New: the client is nil")
	case topic == "":
		panic("kafkapub: New: the topic is empty")
	}
	p := &Publisher{client: client, topic: topic}
	for _, opt := range opts {
		if opt != nil {
			opt(p)
		}
	}
	return p
}

// prefix is that of the attributes of CloudEvents among the headers.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
const prefix = "ce_"

// Publish sends the event, and returns when the brokers have acknowledged it, or ctx is done. A record that was on its way
// then may still arrive: the client cannot take it back.
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	err = publisher.Bound(ctx, func() error { return p.produce(ctx, m, event) })
	if err != nil {
		return fmt.Errorf("kafkapub: event %s to %q: %w", m.ID, p.topic, err)
	}
	return nil
}

// produce sends the record, and sends it again if it fell with another: when the first record that waits for a partition is
// cancelled, the client fails all that wait behind it, with the first one's error. It is ProduceSync, as Produce would linger:
// 10 ms by default, and Ordered sends the next event of a key only after that.
func (p *Publisher) produce(ctx context.Context, m publisher.Message, event publisher.Event) error {
	record, cancel := context.WithCancel(context.WithoutCancel(ctx)) // so that it ends in no other way than Canceled
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	for {
		err := p.client.ProduceSync(record, p.record(m, event)).FirstErr()
		if !errors.Is(err, context.Canceled) {
			return err
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

// Decode returns the event that a record is, whatever its encoding.
func Decode(r *kgo.Record) (publisher.Event, error) {
	m := publisher.Message{Key: string(r.Key), Header: make(map[string]string), Body: r.Value}
	for _, h := range r.Headers {
		m.Header[strings.ToLower(h.Key)] = string(h.Value)
	}
	return publisher.Decode(m)
}
