package publisher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/afterspan/afterspan/core"
)

// A Publisher sends events to one destination. It is safe for concurrent use.
//
// Publish returns nil when the event has arrived, by the strongest confirmation that the
// destination gives: for a broker, its acknowledgement. It returns an error if the event has not
// arrived, or if that is unknown. If no retry can deliver the event, the error is [Permanent]. It
// does not wait longer than ctx. It neither changes nor keeps the event's maps and slices.
type Publisher interface {
	Publish(ctx context.Context, event Event) error
}

// Func adapts a function to a [Publisher].
type Func func(ctx context.Context, event Event) error

// Publish calls f.
func (f Func) Publish(ctx context.Context, event Event) error { return f(ctx, event) }

// taskName is the name of every task that publishes.
const taskName = "publish_event"

// Go publishes an event in the background. It starts a task of m named "publish_event", with
// the attributes kind and, if the event has a ThreadID, thread_id. It does not wait for the task.
// It waits only for room in m, and only if m was made with [core.WithBlocking]. Go copies the
// event, so the caller may change it afterwards; see [Event].
//
// The task fails if p returns an error, or if the event has no Kind, no Type, or data that does not
// marshal to JSON. Its error hides passwords in URLs, as [Redact] does. The event carries the trace
// context of the task, or that of ctx if tasks are not traced.
//
// Each event is a task of its own, and the tasks run at the same time. Unless Sequence is set,
// Go numbers the events of each key in the order of the calls in this process, so that a
// consumer can sort them. [Ordered] sends them in order. A broker that hangs keeps the tasks
// running: give them a [core.WithTimeout]. Go panics if m or p is nil.
func Go(ctx context.Context, m *core.Manager, p Publisher, event Event, opts ...core.TaskOption) *core.Task {
	switch {
	case m == nil:
		panic("publisher: Go: the Manager is nil")
	case isNil(p):
		panic("publisher: Go: the Publisher is nil")
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

// attempt calls p once and redacts its error. It redacts a panic of p and panics again, since
// another attempt would only repeat the panic.
func attempt(ctx context.Context, p Publisher, event Event) error {
	defer func() {
		if v := recover(); v != nil {
			panic(redactPanic(v))
		}
	}()
	return Redact(p.Publish(ctx, event))
}

// withCause returns err with the cause of ctx's end, if ctx is done. A publisher's own error does
// not tell a shutdown from a timeout.
func withCause(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err == nil, cause == nil, errors.Is(err, cause):
		return err
	case err == ctx.Err(): // the cause implies it
		return cause
	default:
		return fmt.Errorf("%w: %w", cause, err)
	}
}

// isNil reports whether p is nil or a nil Func.
func isNil(p Publisher) bool {
	f, isFunc := p.(Func)
	return p == nil || isFunc && f == nil
}

// calls numbers the events given to the function Go.
var calls sequence

// withAttrsOf returns opts, preceded by the event's attributes for the task.
func withAttrsOf(e Event, opts []core.TaskOption) []core.TaskOption {
	attrs := []slog.Attr{slog.String("kind", string(e.Kind))}
	if e.ThreadID != "" {
		attrs = append(attrs, slog.String("thread_id", e.ThreadID))
	}
	return append([]core.TaskOption{core.WithAttrs(attrs...)}, opts...)
}
