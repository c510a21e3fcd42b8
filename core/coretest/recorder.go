package coretest

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	"github.com/afterspan/afterspan/core"
)

// A Recorder remembers the tasks of a manager, accepted and refused ones. Its zero value is ready for
// use, and its methods are safe for concurrent use. Give its Middleware to the manager:
//
//	var rec coretest.Recorder
//	tasks := coretest.New(t, core.WithMiddleware(rec.Middleware()))
type Recorder struct {
	mu    sync.Mutex
	tasks []*core.Task
}

// Middleware returns the middleware that fills the Recorder. Put it first in the chain: a task whose
// Spawn panicked before this one was called is not remembered.
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

// Tasks returns the tasks with that name, in the order in which they were started or refused. An empty
// name stands for all names. With attrs, it returns only the tasks that have each of them, compared by
// their resolved values:
//
//	sent := rec.Tasks("send_receipt", slog.String("thread_id", "t-1"))
//
// A task is there as soon as Go has returned. Wait for its end before you ask for its Outcome and Err.
//
// Do not compare attributes with [reflect.DeepEqual], or with assertions made of it: it looks at no
// more than the length and the first byte of a string in a [slog.Value].
func (r *Recorder) Tasks(name string, attrs ...slog.Attr) []*core.Task {
	r.mu.Lock()
	tasks := slices.Clone(r.tasks)
	r.mu.Unlock()
	// The LogValue methods of attributes are the user's, so they are called without the lock.
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

// equal compares resolved values. [slog.Value.Equal] panics for values of types that Go cannot
// compare, such as slices.
func equal(a, b slog.Value) bool {
	a, b = a.Resolve(), b.Resolve()
	if a.Kind() == slog.KindAny && b.Kind() == slog.KindAny {
		return reflect.DeepEqual(a.Any(), b.Any())
	}
	return a.Equal(b)
}
