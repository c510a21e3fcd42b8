// Package amqppub publishes events to RabbitMQ. Its client is github.com/rabbitmq/amqp091-go.
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

// Publisher is a [publisher.Publisher] that sends to RabbitMQ. Make one with [New]. It is safe for
// concurrent use.
type Publisher struct {
	exchange   string
	routingKey func(publisher.Event) string
	encoding   publisher.Encoding
	maxSize    int
	reconnect  func(context.Context) (*amqp.Connection, error)

	link atomic.Pointer[link] // the last link that was opened; nil at first, and possibly closed
	turn chan struct{}        // holds a value while a goroutine opens a link

	// Guarded by turn.
	conn *amqp.Connection
	gone chan *amqp.Error // receives the reason when conn is closed; nil before the first link
}

// An Option configures a [Publisher]. A nil option does nothing.
type Option func(*Publisher)

// WithEncoding sets the encoding of the events. The default is [publisher.Structured]. An unknown
// encoding panics.
func WithEncoding(e publisher.Encoding) Option {
	if e > publisher.Plain {
		panic(fmt.Sprintf("amqppub: WithEncoding: %v is unknown", e))
	}
	return func(p *Publisher) { p.encoding = e }
}

// WithMaxMessageSize sets how many bytes the body of a message may have. Publish refuses larger ones.
// The default is 16 MiB (16,777,216), the default of max_message_size in RabbitMQ 4. Set it to what
// your broker allows, which the protocol does not tell. 0 or less means no limit.
//
// The broker answers a larger body by closing the channel, and all events that are being sent on it
// fail. The error is [publisher.Permanent] for the largest event that was sent on the channel.
func WithMaxMessageSize(n int) Option {
	return func(p *Publisher) { p.maxSize = n }
}

// WithRoutingKeyFunc makes f choose the routing key of each event. The default is the key given to
// [New]. A nil f panics.
func WithRoutingKeyFunc(f func(publisher.Event) string) Option {
	if f == nil {
		panic("amqppub: WithRoutingKeyFunc: the function is nil")
	}
	return func(p *Publisher) { p.routingKey = f }
}

// WithReconnect makes the publisher call f when its connection is closed and there is an event to
// publish. By default, and if f is nil, all events fail once the connection is closed.
//
// There is one call of f at a time, with the context of one of the events that wait. If f fails,
// that event fails, and the next event calls f again. Publish does not wait for a call that
// outlasts its context, but the publisher uses the connection that the call returns in the end.
//
// f must return a connection that is open and stays open when the context ends. It may return the
// same connection to several publishers. You have to close the connection in the end.
//
// Later versions of the client have Config.Recovery. Leave it unset: it makes a connection say that
// it is open before it is.
func WithReconnect(f func(context.Context) (*amqp.Connection, error)) Option {
	return func(p *Publisher) { p.reconnect = f }
}

// New returns a publisher to the exchange. The default exchange is "", and its routing keys are the
// names of queues. For the first event, the publisher opens a channel of its own on the connection,
// in confirm mode. The channel closes with the connection, which the publisher never closes.
//
// Messages are persistent and mandatory: Publish returns an error if no queue takes the message.
// Declare the exchange and its queues yourself. New panics if conn is nil, or if the name of the
// exchange has more than 255 bytes.
func New(conn *amqp.Connection, exchange, routingKey string, opts ...Option) *Publisher {
	switch {
	case conn == nil:
		panic("amqppub: New: the connection is nil")
	case len(exchange) > maxShort:
		panic(fmt.Sprintf("amqppub: New: the name of the exchange has %d bytes; AMQP allows %d", len(exchange), maxShort))
	}
	p := &Publisher{
		exchange:   exchange,
		routingKey: func(publisher.Event) string { return routingKey },
		maxSize:    defaultMaxSize,
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

// prefix stands before the names of CloudEvents attributes in the headers.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md
const prefix = "cloudEvents_"

// Publish sends the event, and returns when the broker has confirmed it or ctx is done. A broker
// with a memory or disk alarm blocks the connection, but Publish returns when ctx is done all the
// same.
//
// If the event's ID, routing key, headers or body are too large, Publish sends nothing and returns a
// [publisher.LimitError]. The limit of the headers is the frame_max of the connection.
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	key, msg := strings.Clone(p.routingKey(event)), publishing(m, event)
	err = p.checkSizes(key, msg)
	if err == nil {
		err = p.send(ctx, key, msg)
	}
	if err != nil {
		return fmt.Errorf("amqppub: event %s to exchange %q: %w",
			publisher.Abbreviate(m.ID), p.exchange, err)
	}
	return nil
}

func publishing(m publisher.Message, event publisher.Event) amqp.Publishing {
	headers := make(amqp.Table, len(m.Header))
	for name, value := range m.Header {
		headers[name] = value
	}
	delete(headers, contentType) // AMQP has a property for it
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
		// Bound, since the client ignores ctx and the function given to WithReconnect may.
		if err := publisher.Bound(ctx, func() error { return p.renew(ctx) }); err != nil {
			return err
		}
		l = p.link.Load()
	}
	if err := checkHeaders(msg, l.conn.Config.FrameSize); err != nil {
		return err
	}
	err := l.send(ctx, p.exchange, key, msg)
	if l.refuses(err, len(msg.Body)) {
		return publisher.Permanent(err)
	}
	return err
}

// renew opens a link, unless another goroutine has opened one meanwhile.
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
	p.link.Store(l) // only now, so that a half-open link is never used
	return nil
}

// open opens a link. It returns early if the connection is closed: if a write is stuck, the client
// itself does not notice that for many minutes.
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

// connect makes sure that p.conn is open and that p.gone is told when it closes.
func (p *Publisher) connect(ctx context.Context) error {
	if p.conn.IsClosed() {
		conn, err := p.dial(ctx)
		if err != nil {
			return err
		}
		p.conn, p.gone = conn, nil
	}
	if p.gone == nil { // once for each connection, which keeps its listeners until it closes
		p.gone = p.conn.NotifyClose(make(chan *amqp.Error, 1))
	}
	return nil
}

// dial returns a new connection from the function given to WithReconnect.
func (p *Publisher) dial(ctx context.Context) (*amqp.Connection, error) {
	if p.reconnect == nil {
		return nil, errors.New("the connection is closed and WithReconnect is not set")
	}
	conn, err := p.reconnect(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reconnect: %w", publisher.Redact(err))
	case conn == nil || conn.IsClosed():
		return nil, errors.New("reconnect: the function given to WithReconnect returned a connection that is not open")
	}
	return conn, nil
}
