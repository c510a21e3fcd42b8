// Package amqppub publishes events to RabbitMQ, with github.com/rabbitmq/amqp091-go.
package amqppub

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to RabbitMQ. Make one with [New]. It is safe for concurrent use.
type Publisher struct {
	exchange   string
	routingKey func(publisher.Event) string
	encoding   publisher.Encoding
	reconnect  func(context.Context) (*amqp.Connection, error)

	turn chan struct{} // holds a value while somebody looks at the fields below
	conn *amqp.Connection
	link *link // nil, or the last that was opened, and may be closed by now
}

// An Option configures a [Publisher]. A nil one does nothing.
type Option func(*Publisher)

// WithEncoding sets the form of the events. The default is [publisher.Structured].
func WithEncoding(e publisher.Encoding) Option {
	return func(p *Publisher) { p.encoding = e }
}

// WithRoutingKeyFunc chooses the routing key for each event. The default is the one given to [New].
// A nil f panics.
func WithRoutingKeyFunc(f func(publisher.Event) string) Option {
	if f == nil {
		panic("amqppub: WithRoutingKeyFunc: the function is nil")
	}
	return func(p *Publisher) { p.routingKey = f }
}

// WithReconnect makes the publisher call f when its connection is closed and there is an event to publish: the client does not
// connect anew by itself. There is one call at a time, with the context of the event that it is for; if
// it fails so does the event, and the next one calls it again. The connection is yours: close it in the end. f must return
// one that is open, and may return the same to several publishers. By default, and if f is nil, all events fail from then on.
func WithReconnect(f func(context.Context) (*amqp.Connection, error)) Option {
	return func(p *Publisher) { p.reconnect = f }
}

// New returns a publisher to the exchange ("" is the default exchange, whose routing keys are names of queues). It opens
// a channel of its own on the connection for the first event, in confirm mode, and never closes the connection. Messages are persistent and mandatory: one
// that no queue takes is an error. Declare the exchange and its queues yourself. New panics if conn is nil.
func New(conn *amqp.Connection, exchange, routingKey string, opts ...Option) *Publisher {
	if conn == nil {
		panic("amqppub: New: the connection is nil")
	}
	p := &Publisher{
		exchange:   exchange,
		routingKey: func(publisher.Event) string { return routingKey },
		turn:       make(chan struct{}, 1),
		conn:       conn,
	}
	for _, opt := range opts {
		if opt != nil {
			opt(p)
		}
	}
	return p
}

// prefix is that of the attributes of CloudEvents among the headers.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md
const prefix = "cloudEvents_"

// maxShort is how many bytes a routing key and an id may have in AMQP 0-9-1.
const maxShort = 255

// Publish sends the event, and returns when the broker has confirmed it, or ctx is done. A broker that holds up the
// connection (it has an alarm of memory or disk) holds up Publish no longer than that.
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	key := p.routingKey(event)
	switch {
	case len(m.ID) > maxShort:
		err = fmt.Errorf("its id has %d bytes, and AMQP takes %d", len(m.ID), maxShort)
	case len(key) > maxShort:
		err = fmt.Errorf("its routing key has %d bytes, and AMQP takes %d", len(key), maxShort)
	default:
		// On a goroutine of its own, since nothing of the client looks at ctx but the wait for the confirmation.
		err = publisher.Bound(ctx, func() error { return p.send(ctx, key, publishing(m, event)) })
	}
	if err != nil {
		return fmt.Errorf("amqppub: event %s to exchange %q: %w", m.ID, p.exchange, err)
	}
	return nil
}

func publishing(m publisher.Message, event publisher.Event) amqp.Publishing {
	headers := make(amqp.Table, len(m.Header))
	for name, value := range m.Header {
		headers[name] = value
	}
	delete(headers, "content-type") // is a property of its own
	return amqp.Publishing{
		MessageId:    m.ID,
		ContentType:  m.Header["content-type"],
		Headers:      headers,
		Timestamp:    event.Timestamp,
		DeliveryMode: amqp.Persistent,
		Body:         m.Body,
	}
}

func (p *Publisher) send(ctx context.Context, key string, msg amqp.Publishing) error {
	l, err := p.open(ctx)
	if err != nil {
		return err
	}
	return l.send(ctx, p.exchange, key, msg)
}

// open returns the link, a new one if the last is closed.
func (p *Publisher) open(ctx context.Context) (*link, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.link != nil && !p.link.channel.IsClosed() {
		return p.link, nil
	}
	if err := p.connect(ctx); err != nil {
		return nil, err
	}
	l, err := newLink(p.conn)
	if err != nil {
		return nil, err
	}
	p.link = l // and not before: nothing half open is ever used
	return l, nil
}

func (p *Publisher) connect(ctx context.Context) error {
	if !p.conn.IsClosed() {
		return nil
	}
	if p.reconnect == nil {
		return errors.New("the connection is closed, and there is no WithReconnect to make another")
	}
	conn, err := p.reconnect(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("connect anew: %w", publisher.Redact(err))
	case conn == nil || conn.IsClosed():
		return errors.New("connect anew: the connection that WithReconnect's function returned is not open")
	}
	p.conn = conn
	return nil
}

// Decode returns the event that a delivery is, whatever its encoding.
func Decode(d amqp.Delivery) (publisher.Event, error) {
	m := publisher.Message{
		ID:     d.MessageId,
		Header: map[string]string{"content-type": d.ContentType},
		Body:   d.Body,
	}
	for name, value := range d.Headers {
		if text, ok := value.(string); ok {
			m.Header[name] = text
		}
	}
	return publisher.Decode(m)
}
