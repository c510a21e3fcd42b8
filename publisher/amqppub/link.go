package amqppub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// maxInFlight is how many messages may wait for their confirmation at a time.
const maxInFlight = 256

// link is a channel in confirm mode, and what is on its way there.
type link struct {
	channel *amqp.Channel
	slots   chan struct{}    // holds one value for each message on its way
	closed  chan *amqp.Error // has the reason, once, and is closed when the channel is
	// returns has the messages that no queue took. The client puts one there before it handles its confirmation, so who
	// has seen the confirmation finds it. It has room for all that are on their way: if it were full, the client's reader would wait.
	returns chan amqp.Return

	mu      sync.Mutex // guards the fields below
	flights map[string]*flight
	reason  error // why the channel is closed
}

// flight is the messages of one id that are on their way: one, unless the same event is published twice at a time.
type flight struct {
	messages int
	returned error
}

func newLink(conn *amqp.Connection) (*link, error) {
	channel, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	if err := channel.Confirm(false); err != nil {
		_ = channel.Close()
		return nil, fmt.Errorf("set the channel to confirm mode: %w", err)
	}
	return &link{
		channel: channel,
		slots:   make(chan struct{}, maxInFlight),
		closed:  channel.NotifyClose(make(chan *amqp.Error, 1)),
		returns: channel.NotifyReturn(make(chan amqp.Return, maxInFlight)),
		flights: make(map[string]*flight),
	}, nil
}

func (l *link) send(ctx context.Context, exchange, key string, msg amqp.Publishing) error {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	l.begin(msg.MessageId)
	confirmed, err := l.publish(ctx, exchange, key, msg)
	returned := l.end(msg.MessageId)
	switch {
	case err != nil:
		return err
	case returned != nil:
		return returned
	case !confirmed && l.channel.IsClosed():
		return fmt.Errorf("the channel was closed before the confirmation: %w", l.closeReason(ctx))
	case !confirmed:
		return errors.New("the broker could not take it (nack)")
	}
	return nil
}

func (l *link) publish(ctx context.Context, exchange, key string, msg amqp.Publishing) (confirmed bool, err error) {
	const mandatory, immediate = true, false
	confirmation, err := l.channel.PublishWithDeferredConfirmWithContext(ctx, exchange, key, mandatory, immediate, msg)
	if err != nil {
		return false, err
	}
	return confirmation.WaitContext(ctx)
}

func (l *link) begin(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flights[id] == nil {
		l.flights[id] = &flight{}
	}
	l.flights[id].messages++
}

// end returns an error if the message came back. It takes down what else has come back, for whom that concerns.
func (l *link) end(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takeReturnsLocked()
	f := l.flights[id]
	if f.messages--; f.messages == 0 {
		delete(l.flights, id)
	}
	return f.returned
}

func (l *link) takeReturnsLocked() {
	for {
		select {
		case r, open := <-l.returns:
			if !open {
				return
			}
			if f := l.flights[r.MessageId]; f != nil {
				f.returned = fmt.Errorf("no queue takes the routing key %q: %d %s", r.RoutingKey, r.ReplyCode, r.ReplyText)
			}
		default:
			return
		}
	}
}

// closeReason returns why the channel was closed.
func (l *link) closeReason(ctx context.Context) error {
	select {
	case err := <-l.closed:
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil {
			l.reason = err
		}
		if l.reason == nil {
			return amqp.ErrClosed
		}
		return l.reason
	case <-ctx.Done():
		return ctx.Err()
	}
}
