// Package natspub publishes events to NATS, with github.com/nats-io/nats.go: to a stream of JetStream, or by core NATS.
package natspub

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to NATS. Make one with [New] or [NewCore]. It is safe for concurrent use.
type Publisher struct {
	send     func(context.Context, *nats.Msg, string) error
	subject  func(publisher.Event) string
	encoding publisher.Encoding
}

// An Option configures a [Publisher]. A nil one does nothing.
type Option func(*Publisher)

// WithEncoding sets the form of the events. The default is [publisher.Structured].
func WithEncoding(e publisher.Encoding) Option {
	return func(p *Publisher) { p.encoding = e }
}

// WithSubjectFunc chooses the subject for each event, such as one for each thread. Order is kept by the stream across all
// of its subjects. The default is the subject given to New. A nil f panics.
func WithSubjectFunc(f func(publisher.Event) string) Option {
	if f == nil {
		panic("natspub: WithSubjectFunc: the function is nil")
	}
	return func(p *Publisher) { p.subject = f }
}

// New returns a publisher to JetStream. A stream must listen to the subject: make it yourself, as only you know how long it is
// to keep what. Publish waits for the stream's acknowledgement. The event's id is the Nats-Msg-Id, by which the stream drops what
// comes a second time within its window for duplicates (two minutes, unless set otherwise). The connection under js is never closed. New panics if js
// is nil or the subject empty.
func New(js jetstream.JetStream, subject string, opts ...Option) *Publisher {
	if js == nil {
		panic("natspub: New: the JetStream is nil")
	}
	return newPublisher(subject, opts, func(ctx context.Context, msg *nats.Msg, id string) error {
		_, err := js.PublishMsg(ctx, msg, jetstream.WithMsgID(id))
		return err
	})
}

// NewCore returns a publisher by core NATS: who subscribes at that moment gets the event, and nobody else. Publish returns when the
// server has taken it. While the connection is down the client buffers; see the README for what to set. The connection is
// never closed. NewCore panics if it is nil or the subject empty.
func NewCore(nc *nats.Conn, subject string, opts ...Option) *Publisher {
	if nc == nil {
		panic("natspub: NewCore: the connection is nil")
	}
	return newPublisher(subject, opts, func(ctx context.Context, msg *nats.Msg, _ string) error {
		if err := nc.PublishMsg(msg); err != nil {
			return err
		}
		return nc.FlushWithContext(ctx)
	})
}

func newPublisher(subject string, opts []Option, send func(context.Context, *nats.Msg, string) error) *Publisher {
	p := &Publisher{send: send}
	if subject != "" {
		p.subject = func(publisher.Event) string { return subject }
	}
	for _, opt := range opts {
		if opt != nil {
			opt(p)
		}
	}
	if p.subject == nil {
		panic("natspub: New: the subject is empty, and there is no WithSubjectFunc")
	}
	return p
}

// prefix is that of the attributes of CloudEvents among the headers.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md
const prefix = "ce-"

// Publish sends the event, and returns when the server has acknowledged it, or ctx is done.
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	msg := &nats.Msg{Subject: p.subject(event), Data: m.Body, Header: make(nats.Header)}
	for name, value := range m.Header {
		msg.Header[name] = []string{escape(value, name)}
	}
	// On a goroutine of its own, since writing to a connection may block whatever ctx says.
	err = publisher.Bound(ctx, func() error { return p.send(ctx, msg, escapeAll(m.ID)) })
	if err != nil {
		return fmt.Errorf("natspub: event %s to %q: %w", m.ID, msg.Subject, err)
	}
	return nil
}

// escape returns a header's value as the binding wants those of CloudEvents: in printable ASCII, the rest in percent. The other
// headers are so already.
func escape(value, name string) string {
	if !strings.HasPrefix(name, prefix) {
		return value
	}
	return escapeAll(value)
}

func escapeAll(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c > ' ' && c < 0x7f && c != '"' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Decode returns the event that a message is, whatever its encoding: give it msg.Headers() and msg.Data() of a
// [jetstream.Msg], Header and Data of a [nats.Msg].
func Decode(header nats.Header, data []byte) (publisher.Event, error) {
	m := publisher.Message{Header: make(map[string]string), Body: data}
	for name := range header {
		m.Header[strings.ToLower(name)] = header.Get(name)
	}
	return publisher.Decode(m)
}
