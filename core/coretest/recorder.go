package coretest

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	"github.com/afterspan/afterspan/core"
)

// A Recorder records the accepted and refused tasks of a manager. Its zero value is ready for use,
// and its methods are safe for concurrent use. Add its Middleware to the manager:
//
//	var rec coretest.Recorder
//	tasks := coretest.New(t, core.WithMiddleware(rec.Middleware()))
type Recorder struct {
	mu    sync.Mutex
	tasks []*core.Task
}

// Middleware returns the middleware that fills the Recorder. Put it first in the chain: if the
// Spawn of an earlier middleware panics, the task is not recorded.
func (r *Recorder) Middleware() core.Middleware {
	return core.Middleware{
		Spawn: func(ctx context.Context, t *core.Task) context.Context {
			r.add(t)
			return ctx
		},
		Refused: func(_ context.Context, t *core.Task) { r.add(t) },
	}
}

func (r *Recorder) add(t *core.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks = append(r.tasks, t)
}

// Tasks returns the tasks called name, or all if name is empty, in the order in which they were
// recorded. With attrs it returns only tasks that have all of them. Values are resolved before they
// are compared:
//
//	sent := rec.Tasks("send_receipt", slog.String("thread_id", "t-1"))
//
// A task is recorded when Go returns. Wait for it before you read its Outcome and Err.
//
// Do not compare attributes with [reflect.DeepEqual], or with assertions based on it: of a string
// in a [slog.Value] it compares only the length and the first byte.
func (r *Recorder) Tasks(name string, attrs ...slog.Attr) []*core.Task {
	r.mu.Lock()
	tasks := slices.Clone(r.tasks)
	r.mu.Unlock()
	// LogValue methods are user code: call them without the lock.
	return slices.DeleteFunc(tasks, func(t *core.Task) bool {
		return name != "" && t.Name() != name || !hasAll(t.Attrs(), attrs)
	})
}

func hasAll(attrs, wanted []slog.Attr) bool {
	for _, want := range wanted {
		has := func(a slog.Attr) bool { return a.Key == want.Key && equal(a.Value, want.Value) }
		if !slices.ContainsFunc(attrs, has) {
			return false
		}
	}
	return true
}

// equal compares resolved values, also in groups. [slog.Value.Equal] panics for values that are not
// comparable, such as slices.
func equal(a, b slog.Value) bool {
	a, b = a.Resolve(), b.Resolve()
	switch {
	case a.Kind() != b.Kind():
		return false
	case a.Kind() == slog.KindAny:
		return reflect.DeepEqual(a.Any(), b.Any())
	case a.Kind() == slog.KindGroup:
		return slices.EqualFunc(a.Group(), b.Group(), func(a, b slog.Attr) bool {
			return a.Key == b.Key && equal(a.Value, b.Value)
		})
	default:
		return a.Equal(b)
	}
}
