package amqppub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// link is a channel in confirm mode, and what is on its way there.
type link struct {
	conn    *amqp.Connection
	channel *amqp.Channel
	turn    chan struct{} // holds a value while a message is written
	noted   chan struct{} // whoever receives from it knows: what had come back by then is in flights
	closed  chan struct{} // is closed when the channel is, or its connection
	reason  error         // set before that

	mu      sync.Mutex // guards flights
	flights map[string]*flight
}

// flight is the messages of one id that are on their way: one, unless the same event is published twice at a time. Then
// one that comes back fails both, since what comes back tells its id alone.
type flight struct {
	messages int
	returned error
}

// newLink opens a channel. gone is told when conn is closed.
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
	// The client hands on what comes back before it looks at the confirmation behind it. Without a buffer that is also when we
	// have it.
	returns := channel.NotifyReturn(make(chan amqp.Return))
	go l.watch(returns, channel.NotifyClose(make(chan *amqp.Error, 1)), gone)
	return l, nil
}

// watch takes what the client tells of the channel until there is no more. The client waits for it, with all of the connection: so
// it must never wait for anything itself, nor stop early.
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
		case reason := <-gone: // comes even if the client hangs with the channel, writing to a broker that is stuck
			gone = nil
			l.close(reason)
		}
	}
}

// close is called by watch alone.
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

// send sends the message, and waits for its confirmation.
func (l *link) send(ctx context.Context, exchange, key string, msg amqp.Publishing) error {
	l.begin(msg.MessageId)
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
		return l.failure(ctx) // says why
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
	case isDone(confirmation) && !l.channel.IsClosed(): // when that closes it answers for the broker
		return errors.New("the broker could not take it (nack)")
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

// failure returns why the link is closed or ctx is done, whatever comes first. One of the two has happened, or is about to.
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

// write writes the message. Nothing of the client looks at ctx, and a broker that takes no more can hold up writing for long. So there is
// one writer at a time, on a goroutine of its own, and all others are free to give up.
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

func (l *link) begin(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flights[id] == nil {
		l.flights[id] = &flight{}
	}
	l.flights[id].messages++
}

// end returns an error if the message has come back.
func (l *link) end(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flights[id]
	if f.messages--; f.messages == 0 {
		delete(l.flights, id)
	}
	return f.returned
}

func (l *link) note(r amqp.Return) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flights[r.MessageId]; f != nil { // else its Publish has given up
		f.returned = fmt.Errorf("no queue takes the routing key %q: %d %s", r.RoutingKey, r.ReplyCode, r.ReplyText)
	}
}
