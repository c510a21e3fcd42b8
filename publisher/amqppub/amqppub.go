// Package amqppub publishes events to RabbitMQ, with github.com/rabbitmq/amqp091-go.
package amqppub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to RabbitMQ. Make one with [New]. It is safe for concurrent use.
type Publisher struct {
	exchange   string
	routingKey func(publisher.Event) string
	encoding   publisher.Encoding
	reconnect  func(context.Context) (*amqp.Connection, error)

	link atomic.Pointer[link] // nil, or the last that was opened, and may be closed by now
	turn chan struct{}        // holds a value while somebody opens a link, and looks at the fields below
	conn *amqp.Connection
	gone chan *amqp.Error // is told why conn is closed; nil before the first link
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

// WithReconnect makes the publisher call f when its connection is closed and there is an event to publish. There is one call at
// a time, with the context of the event that it is for; if it fails so does the event, and the next one calls it again. A
// call that outlasts its context is not waited for, but what it returns in the end is used. f must return a connection that
// is open, and stays so when the context ends. It may return the same to several publishers. Closing it in the end is up to
// you. By default, and if f is nil, all events fail once the connection is closed.
//
// Leave the Config.Recovery that later versions of the client have unset: with it, a connection says that it is open before it is.
func WithReconnect(f func(context.Context) (*amqp.Connection, error)) Option {
	return func(p *Publisher) { p.reconnect = f }
}

// New returns a publisher to the exchange ("" is the default exchange, whose routing keys are names of queues). It opens
// a channel of its own on the connection for the first event, in confirm mode; that closes with the connection, which the
// publisher never closes. Messages are persistent and mandatory: one that no queue takes is an error. Declare the exchange and its
// queues yourself. New panics if conn is nil, or the name of the exchange has more than 255 bytes.
func New(conn *amqp.Connection, exchange, routingKey string, opts ...Option) *Publisher {
	switch {
	case conn == nil:
		panic("amqppub: New: the connection is nil")
	case len(exchange) > maxShort:
		panic(fmt.Sprintf("amqppub: New: the exchange's name has %d bytes, and AMQP takes %d", len(exchange), maxShort))
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

// maxShort is how many bytes a name, a routing key and an id may have in AMQP 0-9-1. Some versions of the client cut what is longer.
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
		err = p.send(ctx, key, publishing(m, event))
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
	delete(headers, contentType) // is a property of its own
	return amqp.Publishing{
		MessageId:    m.ID,
		ContentType:  m.Header[contentType],
		Headers:      headers,
		Timestamp:    event.Timestamp,
		DeliveryMode: amqp.Persistent,
		Body:         m.Body,
	}
}

func (p *Publisher) send(ctx context.Context, key string, msg amqp.Publishing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l := p.link.Load()
	if l == nil || l.isClosed() {
		// The client does not look at ctx, and the user's function may not.
		if err := publisher.Bound(ctx, func() error { return p.renew(ctx) }); err != nil {
			return err
		}
		l = p.link.Load()
	}
	return l.send(ctx, p.exchange, key, msg)
}

// renew opens a link, unless somebody else has.
func (p *Publisher) renew(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l := p.link.Load(); l != nil && !l.isClosed() {
		return nil
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	l, err := p.open()
	if err != nil {
		return err
	}
	p.link.Store(l) // and not before: nothing half open is ever used
	return nil
}

// open opens a link, or returns when the connection is gone: behind a writer that is stuck the client does not find that out for
// many minutes.
func (p *Publisher) open() (*link, error) {
	opened := make(chan *link, 1)
	failed := make(chan error, 1)
	go func(conn *amqp.Connection, gone <-chan *amqp.Error) {
		l, err := newLink(conn, gone)
		if err != nil {
			failed <- err
			return
		}
		opened <- l
	}(p.conn, p.gone)
	select {
	case l := <-opened:
		return l, nil
	case err := <-failed:
		return nil, err
	case reason := <-p.gone:
		return nil, fmt.Errorf("open a channel: %w", cmp.Or(reason, amqp.ErrClosed))
	}
}

func (p *Publisher) connect(ctx context.Context) error {
	if p.conn.IsClosed() {
		conn, err := p.dial(ctx)
		if err != nil {
			return err
		}
		p.conn, p.gone = conn, nil
	}
	if p.gone == nil { // once for each connection, since a listener stays as long as that does
		p.gone = p.conn.NotifyClose(make(chan *amqp.Error, 1))
	}
	return nil
}

func (p *Publisher) dial(ctx context.Context) (*amqp.Connection, error) {
	if p.reconnect == nil {
		return nil, errors.New("the connection is closed, and there is no WithReconnect to make another")
	}
	conn, err := p.reconnect(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("connect anew: %w", publisher.Redact(err))
	case conn == nil || conn.IsClosed():
		return nil, errors.New("connect anew: the connection that WithReconnect's function returned is not open")
	}
	return conn, nil
}

// contentType is the name that package publisher gives the property among the headers.
const contentType = "content-type"

// Decode returns the event that a delivery is, whatever its encoding.
func Decode(d amqp.Delivery) (publisher.Event, error) {
	m := publisher.Message{ID: d.MessageId, Header: make(map[string]string, len(d.Headers)+1), Body: d.Body}
	for name, value := range d.Headers {
		if text, ok := value.(string); ok {
			m.Header[strings.ToLower(name)] = text
		}
	}
	if d.ContentType != "" {
		m.Header[contentType] = d.ContentType
	}
	return publisher.Decode(m)
}
