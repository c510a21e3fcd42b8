package amqppub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// link is a channel in confirm mode and the messages that are being sent on it.
type link struct {
	conn    *amqp.Connection
	channel *amqp.Channel
	turn    chan struct{} // holds a value while a message is written
	noted   chan struct{} // a receive from it means that flights has all returns so far
	closed  chan struct{} // closed when the channel or its connection is closed
	reason  error         // why the link is closed; read it only after closed is closed

	mu      sync.Mutex // guards the fields below
	flights map[string]*flight
	largest int // how many bytes the largest body that was sent on the link has
}

// A flight counts the messages with one ID that are being sent. There is more than one only if the
// same event is published twice at the same time. A return from the broker names only the ID, so it
// fails all of them.
type flight struct {
	messages int
	returned error
}

// newLink opens a channel. gone receives the reason when conn is closed.
func newLink(conn *amqp.Connection, gone <-chan *amqp.Error) (*link, error) {
	channel, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	if err := channel.Confirm(false); err != nil {
		_ = channel.Close()
		return nil, fmt.Errorf("set the channel to confirm mode: %w", err)
	}
	l := &link{
		conn:    conn,
		channel: channel,
		turn:    make(chan struct{}, 1),
		noted:   make(chan struct{}),
		closed:  make(chan struct{}),
		flights: make(map[string]*flight),
	}
	// The client delivers a return before it handles the confirmation that follows. The Go channel
	// has no buffer, so watch has received the return by then.
	returns := channel.NotifyReturn(make(chan amqp.Return))
	go l.watch(returns, channel.NotifyClose(make(chan *amqp.Error, 1)), gone)
	return l, nil
}

// watch receives what the client reports about the channel until there is no more. The client and
// its whole connection wait for watch, so watch must not block and must not stop early.
func (l *link) watch(returns <-chan amqp.Return, closed, gone <-chan *amqp.Error) {
	defer close(l.noted)
	for returns != nil || closed != nil {
		select {
		case r, more := <-returns:
			if !more {
				returns = nil
				continue
			}
			l.note(r)
		case l.noted <- struct{}{}:
		case reason, more := <-closed:
			if !more {
				closed = nil
			}
			l.close(reason)
		case reason := <-gone: // comes even if the client hangs in a write to a stuck broker
			gone = nil
			l.close(reason)
		}
	}
}

// close is called only by watch.
func (l *link) close(reason *amqp.Error) {
	if l.reason != nil {
		return
	}
	l.reason = fmt.Errorf("the channel was closed: %w", cmp.Or(reason, amqp.ErrClosed))
	close(l.closed)
}

func (l *link) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return l.channel.IsClosed() || l.conn.IsClosed()
	}
}

// send sends the message and waits for its confirmation.
func (l *link) send(ctx context.Context, exchange, key string, msg amqp.Publishing) error {
	l.begin(msg)
	err := l.publish(ctx, exchange, key, msg)
	returned := l.end(msg.MessageId)
	if err != nil {
		return err
	}
	return returned
}

func (l *link) publish(ctx context.Context, exchange, key string, msg amqp.Publishing) error {
	confirmation, err := l.write(ctx, exchange, key, msg)
	switch {
	case errors.Is(err, amqp.ErrClosed):
		return l.failure(ctx) // says why it is closed
	case err != nil:
		return err
	}
	select {
	case <-confirmation.Done():
	case <-l.closed:
	case <-ctx.Done():
	}
	switch {
	case confirmation.Acked():
		<-l.noted
		return nil
	case isDone(confirmation) && !l.channel.IsClosed(): // a closed channel nacks all messages
		return errors.New("the broker refused the message (nack)")
	default:
		return l.failure(ctx)
	}
}

func isDone(c *amqp.DeferredConfirmation) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// failure waits until the link is closed or ctx is done, and returns the reason of the first. The
// caller knows that one of the two has happened or is about to.
func (l *link) failure(ctx context.Context) error {
	select {
	case <-l.closed:
		return l.reason
	case <-ctx.Done():
		return ctx.Err()
	}
}

type written struct {
	confirmation *amqp.DeferredConfirmation
	err          error
}

// write writes the message. The client ignores ctx, and a broker that reads nothing can block a
// write for long. There is therefore one writer at a time, on a goroutine of its own, and every
// caller can give up.
func (l *link) write(ctx context.Context, exchange, key string, msg amqp.Publishing) (*amqp.DeferredConfirmation, error) {
	select {
	case l.turn <- struct{}{}:
	case <-l.closed:
		return nil, l.reason
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	result := make(chan written, 1)
	go func() {
		defer func() { <-l.turn }()
		const mandatory, immediate = true, false
		confirmation, err := l.channel.PublishWithDeferredConfirm(exchange, key, mandatory, immediate, msg)
		result <- written{confirmation, err}
	}()
	select {
	case w := <-result:
		return w.confirmation, w.err
	case <-l.closed:
		return nil, l.reason
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin records that the message is being sent.
func (l *link) begin(msg amqp.Publishing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := msg.MessageId
	l.largest = max(l.largest, len(msg.Body))
	if l.flights[id] == nil {
		l.flights[id] = &flight{}
	}
	l.flights[id].messages++
}

// end records that the message is no longer being sent. It returns an error if the broker returned
// the message.
func (l *link) end(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flights[id]
	if f.messages--; f.messages == 0 {
		delete(l.flights, id)
	}
	return f.returned
}

// note records that the broker returned a message.
func (l *link) note(r amqp.Return) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flights[r.MessageId]; f != nil { // nil if its Publish has given up
		f.returned = fmt.Errorf("no queue matches the routing key %q: %d %s", r.RoutingKey, r.ReplyCode, r.ReplyText)
	}
}
