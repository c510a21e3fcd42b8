// Package natspub publishes events to NATS, to a JetStream stream or over core NATS. Its client is
// github.com/nats-io/nats.go.
package natspub

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to NATS. Make one with [New] or [NewCore]. It is
// safe for concurrent use.
type Publisher struct {
	check    func(*nats.Msg) error // returns an error if the message is too large for the server
	send     func(context.Context, *nats.Msg) error
	subject  func(publisher.Event) string
	encoding publisher.Encoding
}

// An Option configures a [Publisher]. A nil option does nothing.
type Option func(*Publisher)

// WithEncoding sets the encoding of the events. The default is [publisher.Structured]. An unknown
// encoding panics.
func WithEncoding(e publisher.Encoding) Option {
	if e > publisher.Plain {
		panic(fmt.Sprintf("natspub: WithEncoding: %v is unknown", e))
	}
	return func(p *Publisher) { p.encoding = e }
}

// WithSubjectFunc makes f choose the subject of each event: one for each thread, for example. A
// stream keeps its order across all of its subjects. An event is refused if its subject has white
// space, a control character, a wildcard or an empty token. The default is the subject given to
// [New] or [NewCore]. A nil f panics.
func WithSubjectFunc(f func(publisher.Event) string) Option {
	if f == nil {
		panic("natspub: WithSubjectFunc: the function is nil")
	}
	return func(p *Publisher) { p.subject = f }
}

// New returns a publisher to JetStream. It creates no stream: create one with this subject
// yourself, since only you know how long it has to keep messages. Publish waits for the
// acknowledgement of the stream until ctx is done or, if ctx has no deadline, until the default
// timeout of js. The publisher never closes the connection of js.
//
// The Nats-Msg-Id of a message is the event's ID. The stream drops a message whose ID it has seen
// within its duplicate window, on any of its subjects. The window is two minutes unless set
// otherwise.
//
// New panics if js is nil or the subject is not valid. A valid subject has no white space, control
// characters, wildcards or empty tokens. The subject may be empty if there is a [WithSubjectFunc].
func New(js jetstream.JetStream, subject string, opts ...Option) *Publisher {
	if js == nil {
		panic("natspub: New: the JetStream is nil")
	}
	p := newPublisher("New", subject, opts, func(ctx context.Context, msg *nats.Msg) error {
		_, err := js.PublishMsg(ctx, msg)
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			return fmt.Errorf("%w: no stream has this subject, or JetStream is disabled", err)
		}
		return explain(mark(err), js.Conn())
	})
	p.check = func(msg *nats.Msg) error { return checkStream(msg, js.Conn()) }
	return p
}

// NewCore returns a publisher over core NATS. An event reaches only the current subscribers.
// Publish returns when the server has received the event, and waits ten seconds at most. While the
// connection is down, the client buffers events; the README says which options to set. The
// publisher never closes the connection. NewCore panics if nc is nil or, like New, if the subject
// is not valid.
func NewCore(nc *nats.Conn, subject string, opts ...Option) *Publisher {
	if nc == nil {
		panic("natspub: NewCore: the connection is nil")
	}
	p := newPublisher("NewCore", subject, opts, func(ctx context.Context, msg *nats.Msg) error {
		return explain(mark(sendCore(ctx, nc, msg)), nc)
	})
	p.check = func(msg *nats.Msg) error { return checkMessage(msg, nc) }
	return p
}

func newPublisher(name, subject string, opts []Option, send func(context.Context, *nats.Msg) error) *Publisher {
	p := &Publisher{send: send}
	if subject != "" {
		p.subject = func(publisher.Event) string { return subject }
	}
	for _, opt := range opts {
		if opt != nil {
			opt(p)
		}
	}
	switch {
	case p.subject == nil:
		panic("natspub: " + name + ": the subject is empty and WithSubjectFunc is not set")
	case subject != "" && !valid(subject):
		panic(fmt.Sprintf("natspub: %s: %q is not a valid subject to publish to", name, subject))
	}
	return p
}

// explain adds the state of the connection to err, if it is not connected. The client's own text
// mentions only a buffer.
func explain(err error, nc *nats.Conn) error {
	if err != nil && nc != nil && !nc.IsConnected() {
		return fmt.Errorf("%w (the connection is %s)", err, strings.ToLower(nc.Status().String()))
	}
	return err
}

// prefix stands before the names of CloudEvents attributes in the headers. The binding for NATS got
// its binary mode after v1.0.2 of the specification.
// https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/nats-protocol-binding.md#31-binary-content-mode
const prefix = "ce-"

// Publish sends the event, and returns when the server has acknowledged it or ctx is done.
//
// If the event's subject, headers or message are too large, Publish sends nothing and returns a
// [publisher.LimitError]. The limit of the message is the server's max_payload. An event without a
// valid subject is refused with a [publisher.Permanent] error.
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	msg := &nats.Msg{Subject: strings.Clone(p.subject(event)), Header: p.header(m), Data: m.Body}
	if !valid(msg.Subject) {
		err := fmt.Errorf("natspub: event %s: %q is not a valid subject to publish to",
			publisher.Abbreviate(m.ID), publisher.Abbreviate(msg.Subject))
		return publisher.Permanent(err)
	}
	// While a write to the connection is stuck, other calls of the connection wait for it and ignore
	// ctx. So they run on a goroutine of their own.
	err = publisher.Bound(ctx, func() error {
		if err := p.check(msg); err != nil {
			return err
		}
		return p.send(ctx, msg)
	})
	if err != nil {
		return fmt.Errorf("natspub: event %s to %q: %w",
			publisher.Abbreviate(m.ID), publisher.Abbreviate(msg.Subject), err)
	}
	return nil
}

// header returns the headers of a message, including the ID by which JetStream recognises
// duplicates.
func (p *Publisher) header(m publisher.Message) nats.Header {
	header := nats.Header{jetstream.MsgIDHeader: {escape(m.ID)}}
	for name, value := range m.Header {
		if strings.HasPrefix(name, prefix) {
			value = escape(value)
		}
		header[name] = []string{value}
	}
	// Unlike other bindings, this one has the content type among the attributes, too.
	if p.encoding == publisher.Binary {
		header[prefix+"datacontenttype"] = header["content-type"]
	}
	return header
}

// escape percent-encodes a value as the binding requires. Printable ASCII stays as it is, except
// for spaces, double quotes and percent signs.
func escape(value string) string {
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

// Decode returns the event in a message of any encoding. For a [jetstream.Msg], pass msg.Headers()
// and msg.Data(). For a [nats.Msg], pass msg.Header and msg.Data. An error of Decode is
// [publisher.Permanent].
func Decode(header nats.Header, data []byte) (publisher.Event, error) {
	m := publisher.Message{Header: make(map[string]string), Body: data}
	for name := range header {
		m.Header[strings.ToLower(name)] = header.Get(name)
	}
	return publisher.Decode(m)
}
