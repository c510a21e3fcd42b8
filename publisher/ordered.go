package publisher

import (
	"context"

	"github.com/afterspan/afterspan/core"
)

// Ordered publishes in the background and in order. It publishes events with the same [Event.Key]
// one after another, in the order of the calls of its Go. Events with different keys are published
// at the same time. Events without a key have no order.
//
// Each event is a task of its own, as with the function [Go]. The task is queued in the
// manager until the earlier events of its key have ended, and holds no goroutine meanwhile: a busy
// key has one goroutine, and an idle key has none. A manager that shuts down delivers the accepted
// events for as long as its time allows. Shutdown counts the others as cancelled or remaining, and
// each of their tasks ends with [core.ErrShutdown].
//
// An event that still fails after all retries is a failed task. The next event of its key is then
// published, and consumers see a gap in Sequence.
type Ordered struct {
	orderedConfig
	manager   *core.Manager
	publisher Publisher
	keyed     *core.Keyed
	sequence  sequence
}

// orderedConfig holds the settings that options change.
type orderedConfig struct {
	perKey, total int
	blocking      bool
	retry         RetryFunc
}

// A RetryFunc calls publish until it returns nil, and returns the last error. It must give up when
// ctx is done. It must not return while publish is still running, or the next event would overtake
// this one. Most retry libraries fit this signature: see the example of [WithRetry]. A panic of the
// publisher passes through the RetryFunc and ends the task.
//
// It should also give up when [IsPermanent] reports true for the error of publish. The Ordered
// cancels ctx then, so that a RetryFunc that does not know of IsPermanent gives up all the same.
//
// Give each attempt a timeout, since a connection can die in silence. Give each event a
// [core.WithTimeout] as well: a broker may refuse an event for ever with an error that is not known
// to be permanent. Until the event ends, it blocks its key and occupies one of the manager's slots.
// An attempt that was given up may still be delivered, behind later events of its key. It is then a
// duplicate if another attempt succeeded.
type RetryFunc func(ctx context.Context, publish func(context.Context) error) error

// An OrderedOption configures an [Ordered]. It is given to [NewOrdered]. A nil option does nothing.
type OrderedOption func(*orderedConfig)

// WithBuffer sets how many events, waiting or being published, the Ordered holds: perKey for each
// key, and total for all keys. Further events are refused with an error that matches [core.ErrFull]
// or, with [WithBlocking], wait for room. The defaults are 1,000 and 100,000; 0 or less means no
// limit. The limits count events, not bytes: a small event takes two or three kilobytes including
// its task. A limit of the manager applies as well.
func WithBuffer(perKey, total int) OrderedOption {
	return func(c *orderedConfig) { c.perKey, c.total = perKey, total }
}

// WithBlocking makes [Ordered.Go] wait for room in the buffer until its ctx is done. A call
// with the context of a task of the same manager never waits, since that task may hold the room
// that the call would wait for. The default is to refuse the event.
func WithBlocking() OrderedOption {
	return func(c *orderedConfig) { c.blocking = true }
}

// WithRetry makes the Ordered call its publisher through retry. Later events of the key wait
// meanwhile, so they stay in order. The default, also for a nil retry, is a single attempt.
func WithRetry(retry RetryFunc) OrderedOption {
	return func(c *orderedConfig) { c.retry = retry }
}

// NewOrdered returns an Ordered that publishes with p, in tasks of m. Each Ordered orders only its
// own events: use the same one for all events that must be in order. NewOrdered panics if m or p is
// nil.
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
		keyed:         &core.Keyed{PerKey: c.perKey, Total: c.total, Blocking: c.blocking},
	}
}

// Go publishes an event like the function [Go], but in order. Unless Sequence is set, the
// Ordered numbers the events of a key when it hands them to its publisher. A timeout among opts
// also starts then. An event that cannot be sent fails when its turn comes.
//
// If the event is refused, the returned task is already done, with [core.ErrFull] or
// [core.ErrClosed]. A [core.WithKey] among opts has no effect.
func (o *Ordered) Go(ctx context.Context, event Event, opts ...core.TaskOption) *core.Task {
	event, err := event.accept()
	opts = append(withAttrsOf(event, opts), core.WithKey(o.keyed, event.queueKey()))
	return o.manager.Go(ctx, taskName, func(ctx context.Context) error {
		if err != nil {
			return Redact(err)
		}
		return withCause(ctx, o.deliver(ctx, event))
	}, opts...)
}

// deliver publishes an event whose turn has come. No other event of its key is being published.
func (o *Ordered) deliver(ctx context.Context, event Event) error {
	event = o.sequence.number(event.traced(ctx))
	if o.retry == nil {
		return attempt(ctx, o.publisher, event)
	}
	return tryAgain(ctx, o.retry, func(ctx context.Context) error { return attempt(ctx, o.publisher, event) })
}
