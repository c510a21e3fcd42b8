// Package coretest helps to test code that starts tasks.
//
// [New] returns a manager for one test. It logs to the test's output, is closed when the test ends,
// and fails the test for tasks that panicked, failed or did not stop:
//
//	func TestPlaceOrder(t *testing.T) {
//		tasks := coretest.New(t)
//		shop := NewShop(tasks)
//		shop.PlaceOrder(t.Context(), order)
//		_ = tasks.Wait(t.Context())
//		…
//	}
//
// A [Recorder] records tasks, for checks of their names, attributes and outcomes.
//
// Both work in bubbles of [testing/synctest], where timeouts are exact and no test sleeps for real.
// Call New inside the bubble, with the bubble's *testing.T.
package coretest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/afterspan/afterspan/core"
)

// New returns a manager for one test. It logs to the test's output, at level DEBUG. At the end of
// the test it is closed: running and queued tasks are cancelled. If the test needs their results,
// wait for them first, with [core.Manager.Wait] or [core.Task.Wait].
//
// The test fails for each task that panicked, failed, or did not stop within ten seconds after the
// end of the test. A task that timed out, was cancelled or was refused fails no test. With
// [AllowFailures] no task does.
//
// Options can replace the logger ([core.WithLogger]) and the ten seconds
// ([core.WithShutdownTimeout]).
func New(t testing.TB, opts ...core.Option) *core.Manager {
	r := &reporter{t: t}
	all := []core.Option{
		core.WithLogger(slog.New(slog.NewTextHandler(r.output(), &slog.HandlerOptions{Level: slog.LevelDebug}))),
		core.WithShutdownTimeout(10 * time.Second),
	}
	all = append(all, opts...)
	// Last, so that its Spawn sees the mark of AllowFailures.
	all = append(all, core.WithMiddleware(core.Middleware{Spawn: r.spawn, Ended: r.ended}))
	m := core.New(all...)
	t.Cleanup(func() { r.end(m.Close()) })
	return m
}

// AllowFailures is an option for tests that expect failures: tasks that panicked, failed or did not
// stop are logged, but do not fail the test. Put it before middlewares whose Spawn may panic. It
// has no effect on a manager that New did not make.
func AllowFailures() core.Option {
	// An option of core cannot reach New, so this one is a middleware that marks the context of
	// each task for the hooks of the reporter. The mark is the task itself: a task that it starts
	// in another manager inherits the mark, but is not equal to it.
	return core.WithMiddleware(core.Middleware{
		Spawn: func(ctx context.Context, t *core.Task) context.Context {
			return context.WithValue(ctx, allowedKey{}, t)
		},
	})
}

type allowedKey struct{}

// A reporter fails the test for tasks of its manager.
type reporter struct {
	t       testing.TB
	allowed atomic.Bool // a task had the mark of AllowFailures

	// mu guards over. It is held while methods of t are called, so that the test cannot end
	// meanwhile.
	mu   sync.Mutex
	over bool // the test may have ended: t must not be used any more
}

// during calls f, unless the test is over.
func (r *reporter) during(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		f()
	}
}

func (r *reporter) spawn(ctx context.Context, t *core.Task) context.Context {
	r.lookForMark(ctx, t)
	return ctx
}

// lookForMark is called at the spawn and at the end of a task: a panic in an earlier Spawn keeps
// spawn from being called.
func (r *reporter) lookForMark(ctx context.Context, t *core.Task) {
	if ctx.Value(allowedKey{}) == t {
		r.allowed.Store(true)
	}
}

func (r *reporter) ended(ctx context.Context, t *core.Task) {
	r.lookForMark(ctx, t)
	if t.Outcome() != core.Failed {
		return
	}
	err := t.Err()
	text := fmt.Sprintf("failed: %v", err) // fmt survives an Error method that panics
	if panicked, ok := t.PanicOf(err); ok {
		text = fmt.Sprintf("panicked: %v\n%s", err, panicked.Stack)
	}
	r.report(t.Info(), text)
}

func (r *reporter) report(task core.TaskInfo, text string) {
	if !r.allowed.Load() {
		r.during(func() { r.t.Errorf("task %s#%d%s %s", task.Name, task.ID, attrsOf(task), text) })
	}
}

// end reports the tasks that did not stop, and drops later reports.
func (r *reporter) end(err error) {
	if left, ok := errors.AsType[*core.ShutdownError](err); ok {
		for _, task := range left.Remaining {
			r.report(task, "did not stop after it was cancelled")
		}
	}
	r.during(func() { r.over = true })
}

// attrsOf returns a space and the attributes of a task as JSON, or "" if there are none.
func attrsOf(task core.TaskInfo) string {
	var info struct {
		Attrs json.RawMessage `json:"context"`
	}
	data, err := json.Marshal(task)
	if err != nil || json.Unmarshal(data, &info) != nil || string(info.Attrs) == "{}" {
		return ""
	}
	return " " + string(info.Attrs)
}

// writerFunc is an io.Writer.
type writerFunc func(line []byte) (int, error)

func (f writerFunc) Write(line []byte) (int, error) { return f(line) }

// output returns a writer to the test's output. Lines after the end of the test are dropped.
func (r *reporter) output() writerFunc {
	out := r.t.Output()
	return func(line []byte) (n int, err error) {
		r.during(func() { n, err = out.Write(line) })
		return n, err
	}
}
