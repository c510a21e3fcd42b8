package publisher

import (
	"context"
	"errors"
	"fmt"

	"github.com/afterspan/afterspan/core"
)

// Ordered publishes in the background and in order: events with the same [Event.Key] one after another, as they were
// given to it, and different keys side by side. Events without a key have no order.
//
// Each event is a task of its own, as with the function [Publish]. While its predecessors are on their way it is queued in the
// manager, without a goroutine: there is one for each busy key, and none for an idle one. So a manager that shuts down
// delivers all that was accepted, within its time; what it could not is in the figures that Shutdown returns, as cancelled or
// remaining, and each of those tasks ends with [core.ErrShutdown].
//
// An event whose publishing fails, after all retries, is a failed task and a gap in the Sequence that its consumers see. The
// next one of its key goes on.
type Ordered struct {
	orderedConfig
	manager   *core.Manager
	publisher Publisher
	serial    *core.Serial
	sequence  sequence
}

// orderedConfig is what the options of an Ordered set.
type orderedConfig struct {
	perKey, total int
	blocking      bool
	retry         RetryFunc
}

// A RetryFunc calls publish until it returns nil or there is no point in going on, and returns its last error. It must
// give up when ctx is done, and must not return while publish still runs: the next event would overtake this one. It is what
// libraries for retries are made of: see the example. A panic of the publisher goes through it, and ends the task.
//
// Give each attempt a timeout, for connections that die in silence, and each event a [core.WithTimeout]: one that the broker will never
// take, such as one that is too large, otherwise holds up its key for ever. An attempt that was given up may still arrive, and
// then behind later events of its key: as a duplicate if another attempt had succeeded.
type RetryFunc func(ctx context.Context, publish func(context.Context) error) error

// An OrderedOption configures an [Ordered]. It is given to [NewOrdered]. A nil one does nothing.
type OrderedOption func(*orderedConfig)

// WithBuffer sets how many events of one key, and how many of all keys, may be on their way, waiting and being
// published. What is more is refused with an error that matches [core.ErrFull], or waits for room [WithBlocking].
// The default is 1,000 and 100,000; 0 or less is no limit. It counts events, and not their bytes: a small one takes two
// or three kilobytes with its task. A manager with a limit bounds them, too.
func WithBuffer(perKey, total int) OrderedOption {
	return func(c *orderedConfig) { c.perKey, c.total = perKey, total }
}

// WithBlocking makes [Ordered.Publish] wait for room in the buffer until its ctx is done. Called with the context of a task of
// the same manager it never waits: that task could be the one that holds the room. The default is to refuse.
func WithBlocking() OrderedOption {
	return func(c *orderedConfig) { c.blocking = true }
}

// WithRetry makes retry call the publisher. The events behind wait, so nothing is reordered. The
// default, also for nil, is to call it once.
func WithRetry(retry RetryFunc) OrderedOption {
	return func(c *orderedConfig) { c.retry = retry }
}

// NewOrdered returns an Ordered that publishes with p, in tasks of m. It panics if m or p is nil. Order is kept by
// each Ordered for itself: make one for all that must be in order.
func NewOrdered(m *core.Manager, p Publisher, opts ...OrderedOption) *Ordered {
	switch {
	case m == nil:
		panic("publisher: NewOrdered: the Manager is nil")
	case isNil(p):
		panic("publisher: NewOrdered: the Publisher is nil")
	}
	c := orderedConfig{perKey: 1_000, total: 100_000}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return &Ordered{
		orderedConfig: c,
		manager:       m,
		publisher:     p,
		serial:        &core.Serial{PerKey: c.perKey, Total: c.total, Blocking: c.blocking},
	}
}

// Publish does what the function [Publish] does, in order. Sequence, unless it is set, counts the events of a key as this
// Ordered hands them to the publisher. A timeout among opts counts from then, too. An event that cannot be sent fails when its turn comes.
//
// The task that it returns is done already, with [core.ErrFull] or [core.ErrClosed], if the event was refused. A
// [core.WithSerial] among opts has no effect.
func (o *Ordered) Publish(ctx context.Context, event Event, opts ...core.TaskOption) *core.Task {
	event, err := event.accept()
	key := event.Key()
	if key == "" {
		key = event.ID
	}
	opts = append(withAttrsOf(event, opts), core.WithSerial(o.serial, key))
	return o.manager.Go(ctx, taskName, func(ctx context.Context) error {
		if err != nil {
			return Redact(err)
		}
		return withCause(ctx, o.deliver(ctx, event))
	}, opts...)
}

// deliver publishes an event whose turn has come: here nobody else has its key.
func (o *Ordered) deliver(ctx context.Context, event Event) error {
	event = o.sequence.number(event.traced(ctx))
	if o.retry == nil {
		return attempt(ctx, o.publisher, event)
	}
	last := errNotTried
	err := Redact(o.retry(ctx, func(ctx context.Context) error {
		last = attempt(ctx, o.publisher, event)
		return last
	}))
	switch {
	case err == nil: // whatever the retry makes of it
		return last
	case last == nil, errors.Is(err, last), ctx.Err() == nil:
		return err
	default: // it may tell that it was interrupted, and not what had been wrong
		return fmt.Errorf("%w; the last attempt: %w", err, last)
	}
}

// errNotTried is the error of an event whose RetryFunc did not call publish.
var errNotTried = errors.New("publisher: the function of WithRetry returned without an attempt")
