package middleware

import (
	"context"
	"fmt"
	"sync"

	"github.com/afterspan/afterspan/core"
)

// Limit runs at most n tasks at a time that have the same value of an attribute, such as a tenant's id.
// The others wait, in the order in which they came. Tasks without the attribute are not limited. Where
// the caller of Go knows the key, use [core.WithKey] with Keyed{Running: n} instead: tasks then wait in
// the manager's queue, which avoids the drawbacks of the next paragraph.
//
// A task that waits here holds a goroutine and a slot of the manager. With [core.WithLimit], one busy
// tenant can fill all slots with waiting tasks and hold up the other tenants. So set no limit of the
// manager, or one far above n times the number of busy tenants. The wait is also part of the run, so
// it uses up the task's timeout.
//
// In the chain: further in than otelmw, so that the span shows the wait; further in than a retry, so that its pauses hold no
// slot of the tenant; outside of a rate limit, so that no token is spent on a task that then waits.
//
// A cancel or the task's timeout ends the wait. A panic and Goexit give the slot back. A value that no task has any more is
// forgotten: there may be many over time. A [slog.LogValuer] is resolved first: one that redacts itself to "***" shares its
// slots with all the others that do.
func Limit(key string, n int) core.Middleware {
	if n < 1 { // nothing would ever run
		panic("middleware: Limit: n is less than 1")
	}
	limits := &limits{n: n, byValue: make(map[string]limit)}
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			value, ok := attr(t, key)
			if !ok {
				return next(ctx, t)
			}
			slots := limits.count(value, +1)
			defer limits.count(value, -1)
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				return next(ctx, t)
			case <-ctx.Done():
				return fmt.Errorf("waiting for a slot of %s: %w", key, context.Cause(ctx))
			}
		}
	})
}

type limits struct {
	n       int
	mu      sync.Mutex
	byValue map[string]limit // of the values that any task has now
}

// limit is what a value's tasks share.
type limit struct {
	slots chan struct{} // its senders wait in the order in which they came
	tasks int           // that run or wait
}

// count adds a task with that value, or takes one away, and returns the slots that it shares.
func (l *limits) count(value string, by int) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.byValue[value]
	if one.slots == nil {
		one.slots = make(chan struct{}, l.n)
	}
	one.tasks += by
	l.byValue[value] = one
	if one.tasks == 0 {
		delete(l.byValue, value)
	}
	return one.slots
}

// attr returns the value of a task's attribute. Of two with the same key the last counts: the task's own come after those of
// WithTaskDefaults.
func attr(t *core.Task, key string) (value string, ok bool) {
	for _, a := range t.Attrs() {
		if a.Key == key {
			value, ok = a.Value.Resolve().String(), true
		}
	}
	return value, ok
}
