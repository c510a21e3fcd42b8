// Package natspub publishes events to NATS, with github.com/nats-io/nats.go: to a stream of JetStream, or by core NATS.
package natspub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/afterspan/afterspan/publisher"
)

// Publisher is a [publisher.Publisher] that sends to NATS. Make one with [New] or [NewCore]. It is safe for concurrent use.
type Publisher struct {
	send     func(context.Context, *nats.Msg) error
	subject  func(publisher.Event) string
	encoding publisher.Encoding
}

// An Option configures a [Publisher]. A nil one does nothing.
type Option func(*Publisher)

// WithEncoding sets the form of the events. The default is [publisher.Structured].
func WithEncoding(e publisher.Encoding) Option {
	return func(p *Publisher) { p.encoding = e }
}

// WithSubjectFunc chooses the subject for each event, such as one for each thread. A stream keeps the order across all
// of its subjects. An event whose subject has white space, a control character, a wildcard or an empty token is refused. The
// default is the subject given to New. A nil f panics.
func WithSubjectFunc(f func(publisher.Event) string) Option {
	if f == nil {
		panic("natspub: WithSubjectFunc: the function is nil")
	}
	return func(p *Publisher) { p.subject = f }
}

// New returns a publisher to JetStream. A stream must listen to the subject: make it yourself, as only you know how long it is
// to keep what. Publish waits for the stream's acknowledgement, for as long as ctx allows, or without a deadline as long as js does. The
// event's id is the Nats-Msg-Id, by which the stream drops what comes a second time, on any of its subjects, within its window for duplicates
// (two minutes, unless set otherwise). The connection under js is never closed.
//
// New panics if js is nil, or the subject is not one to publish to. It may be empty if there is a [WithSubjectFunc].
func New(js jetstream.JetStream, subject string, opts ...Option) *Publisher {
	if js == nil {
		panic("natspub: New: the JetStream is nil")
	}
	return newPublisher("New", subject, opts, func(ctx context.Context, msg *nats.Msg) error {
		_, err := js.PublishMsg(ctx, msg)
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			return fmt.Errorf("%w: no stream listens to this subject, or JetStream is off", err)
		}
		return explain(err, js.Conn())
	})
}

// NewCore returns a publisher by core NATS: who subscribes at that moment gets the event, and nobody else. Publish returns when the
// server has taken it, and waits for that for ten seconds if ctx has no deadline. While the connection is down the client
// buffers; see the README for what to set. The connection is never closed. NewCore panics if it is nil, and
// as New does.
func NewCore(nc *nats.Conn, subject string, opts ...Option) *Publisher {
	if nc == nil {
		panic("natspub: NewCore: the connection is nil")
	}
	return newPublisher("NewCore", subject, opts, func(ctx context.Context, msg *nats.Msg) error {
		return explain(sendCore(ctx, nc, msg), nc)
	})
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
		panic("natspub: " + name + ": the subject is empty, and there is no WithSubjectFunc")
	case subject != "" && !valid(subject):
		panic(fmt.Sprintf("natspub: %s: %q is not a subject to publish to", name, subject))
	}
	return p
}

// coreTimeout is how long a Publish without a deadline waits for the server: as nats.Conn.Flush does.
const coreTimeout = 10 * time.Second

// sendCore publishes, and asks the server for a PONG, which it sends once it has taken what came before.
func sendCore(ctx context.Context, nc *nats.Conn, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, coreTimeout) // a flush without a deadline is an error
	defer cancel()
	reconnects, lastError := nc.Stats().Reconnects, nc.LastError()
	if err := nc.PublishMsg(msg); err != nil {
		return err
	}
	if err := nc.FlushWithContext(ctx); err != nil {
		return err
	}
	if nc.Stats().Reconnects != reconnects { // the PONG may be of the new connection, and the event lost with the old
		return errors.New("the connection was lost on the way")
	}
	if err := nc.LastError(); isRefusal(err, msg.Subject) && err != lastError {
		return err
	}
	return nil
}

// isRefusal tells whether err is what the server said of a subject that we must not publish to. It comes before the PONG, and
// not as the error of any call.
func isRefusal(err error, subject string) bool {
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), fmt.Sprintf("%q", subject))
}

// explain adds the state of the connection to an error, if that is why: the client's own text speaks of a buffer.
func explain(err error, nc *nats.Conn) error {
	if err != nil && nc != nil && !nc.IsConnected() {
		return fmt.Errorf("%w (the connection is %s)", err, strings.ToLower(nc.Status().String()))
	}
	return err
}

// prefix is that of the attributes of CloudEvents among the headers. Binary mode came to this binding after v1.0.2.
// https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/nats-protocol-binding.md#31-binary-content-mode
const prefix = "ce-"

// Publish sends the event, and returns when the server has acknowledged it, or ctx is done.
func (p *Publisher) Publish(ctx context.Context, event publisher.Event) error {
	m, err := p.encoding.Encode(ctx, event, prefix)
	if err != nil {
		return err
	}
	msg := &nats.Msg{Subject: p.subject(event), Header: p.header(m), Data: m.Body}
	if !valid(msg.Subject) {
		return fmt.Errorf("natspub: event %s: %q is not a subject to publish to", m.ID, msg.Subject)
	}
	// On a goroutine of its own, since writing to a connection may block whatever ctx says.
	err = publisher.Bound(ctx, func() error { return p.send(ctx, msg) })
	if err != nil {
		return fmt.Errorf("natspub: event %s to %q: %w", m.ID, msg.Subject, err)
	}
	return nil
}

// header returns the headers of a message, with the id by which JetStream knows a duplicate.
func (p *Publisher) header(m publisher.Message) nats.Header {
	header := nats.Header{jetstream.MsgIDHeader: {escape(m.ID)}}
	for name, value := range m.Header {
		if strings.HasPrefix(name, prefix) {
			value = escape(value)
		}
		header[name] = []string{value}
	}
	if p.encoding == publisher.Binary { // in this binding, unlike in others, an attribute as all are
		header[prefix+"datacontenttype"] = header["content-type"]
	}
	return header
}

// escape returns a value as the binding wants it: in printable ASCII, the rest in percent.
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

// valid tells whether it is a subject to publish to. The client's own check came later than the version that we require, and what
// it does not check it writes to the connection: after a line break, as a command.
// https://docs.nats.io/nats-concepts/subjects
func valid(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" || strings.ContainsFunc(token, isSpaceOrControl) {
			return false
		}
	}
	return true
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

// Decode returns the event that a message is, whatever its encoding: give it msg.Headers() and msg.Data() of a
// [jetstream.Msg], Header and Data of a [nats.Msg].
func Decode(header nats.Header, data []byte) (publisher.Event, error) {
	m := publisher.Message{Header: make(map[string]string), Body: data}
	for name := range header {
		m.Header[strings.ToLower(name)] = header.Get(name)
	}
	return publisher.Decode(m)
}
