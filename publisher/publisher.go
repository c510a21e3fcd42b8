package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/afterspan/afterspan/core"
)

// A Publisher sends events somewhere. It is safe for concurrent use.
//
// Publish returns nil when the event has arrived, by the strongest word that the other side gives: a broker's
// acknowledgement. It returns an error when it has not, or when that is unknown; the latest when ctx is done. It does not change
// the event's maps and slices, nor keep them.
type Publisher interface {
	Publish(ctx context.Context, event Event) error
}

// Func is a function that is a [Publisher].
type Func func(ctx context.Context, event Event) error

// Publish calls f.
func (f Func) Publish(ctx context.Context, event Event) error { return f(ctx, event) }

// taskName is the name of every task that publishes.
const taskName = "publish_event"

// Publish publishes an event in the background, as a task "publish_event" of m with the attributes kind and, if the event has one,
// thread_id. It does not wait for that, only for room in m, if m is [core.WithBlocking]. The event is copied, and what the
// caller goes on to do to it changes nothing; see [Event].
//
// The task fails if the publisher does, or if the event has no Kind, no Type, or data that does not marshal to JSON.
// Passwords in the URLs of an error are hidden. The task's own trace travels with the event, or that of ctx where tasks are not traced.
//
// Each event is a task of its own, and they run side by side. Sequence, unless it is set, counts the calls for one key in this process,
// so a consumer can put them in order; or let [Ordered] do so. A broker that hangs holds on to the tasks:
// give them a [core.WithTimeout]. Publish panics if m or p is nil.
func Publish(ctx context.Context, m *core.Manager, p Publisher, event Event, opts ...core.TaskOption) *core.Task {
	switch {
	case m == nil:
		panic("publisher: Publish: the Manager is nil")
	case isNil(p):
		panic("publisher: Publish: the Publisher is nil")
	}
	event, err := event.accept()
	if err == nil {
		event = calls.number(event)
	}
	return m.Go(ctx, taskName, func(ctx context.Context) error {
		if err != nil {
			return Redact(err)
		}
		return withCause(ctx, attempt(ctx, p, event.traced(ctx)))
	}, withAttrsOf(event, opts)...)
}

// attempt publishes once. A panic goes on, since there is no point in a retry.
func attempt(ctx context.Context, p Publisher, event Event) error {
	defer func() {
		if v := recover(); v != nil {
			panic(redactPanic(v))
		}
	}()
	return Redact(p.Publish(ctx, event))
}

// withCause returns err with the reason that ctx is done for, if it is: a publisher's error does not tell a shutdown from a timeout.
func withCause(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err == nil, cause == nil, errors.Is(err, cause):
		return err
	case err == ctx.Err(): // which the cause says, too
		return cause
	default:
		return fmt.Errorf("%w: %w", cause, err)
	}
}

// isNil reports whether there is nothing to call.
func isNil(p Publisher) bool {
	f, isFunc := p.(Func)
	return p == nil || isFunc && f == nil
}

// calls numbers the events given to Publish.
var calls sequence

// withAttrsOf returns opts with what a task says of its event in front of them.
func withAttrsOf(e Event, opts []core.TaskOption) []core.TaskOption {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind))}
	if e.ThreadID != "" {
		attrs = append(attrs, slog.String("thread_id", e.ThreadID))
	}
	return append([]core.TaskOption{core.WithAttrs(attrs...)}, opts...)
}
