// Package coretest is for tests of code that starts tasks.
//
// [New] returns a manager that belongs to a test. It logs to the test's output, is closed at the end
// of the test, and reports the tasks that went wrong:
//
//	func TestPlaceOrder(t *testing.T) {
//		tasks := coretest.New(t)
//		shop := NewShop(tasks)
//		shop.PlaceOrder(t.Context(), order)
//		_ = tasks.Wait(t.Context())
//		…
//	}
//
// A [Recorder] remembers the tasks, so that a test can ask which were started, with which attributes,
// and how they ended.
//
// Both work inside bubbles of [testing/synctest], where a timeout is exact and costs no time. Call New
// inside the bubble, with its T.
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

// New returns a manager for one test. It logs to the test's output, at level DEBUG. At the end of the
// test it is closed: tasks that still run or wait are cancelled. A test that needs their work waits
// for it, with [core.Manager.Wait] or [core.Task.Wait].
//
// The test fails for each task that panicked, failed, or did not stop within ten seconds after it was
// cancelled by the end of the test. A task that timed out, was cancelled or was refused fails no test.
// With [AllowFailures] no task does.
//
// The options may change all of that: [core.WithLogger], and [core.WithShutdownTimeout] for the ten
// seconds.
func New(t testing.TB, opts ...core.Option) *core.Manager {
	r := &reporter{t: t}
	all := []core.Option{
		core.WithLogger(slog.New(slog.NewTextHandler(r.output(), &slog.HandlerOptions{Level: slog.LevelDebug}))),
		core.WithShutdownTimeout(10 * time.Second),
	}
	all = append(all, opts...)
	// The last Spawn gets what AllowFailures put into the context.
	all = append(all, core.WithMiddleware(core.Middleware{Spawn: r.spawn, Ended: r.ended}))
	m := core.New(all...)
	t.Cleanup(func() { r.end(m.Close()) })
	return m
}

// AllowFailures is an option for a test that expects tasks to fail: tasks that panicked, failed or did
// not stop are logged, and do not fail the test. Put it before middlewares whose Spawn may panic. In a
// manager that New did not make it does nothing.
//
// An option cannot tell New anything, since core keeps its configuration to itself. So this one is a
// middleware that marks the context of each task, where the reporter's hooks find the mark. The mark
// is the task itself: the context also flows to tasks that the task starts, maybe in other managers.
func AllowFailures() core.Option {
	return core.WithMiddleware(core.Middleware{
		Spawn: func(ctx context.Context, t *core.Task) context.Context {
			return context.WithValue(ctx, allowedKey{}, t)
		},
	})
}

type allowedKey struct{}

// A reporter makes a test fail for tasks of its manager.
type reporter struct {
	t       testing.TB
	allowed atomic.Bool // a task had the mark of AllowFailures

	// mu keeps the test from ending while its methods are called, and guards over.
	mu   sync.Mutex
	over bool // the test may have ended: calling its methods panics from now on
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

// lookForMark is also called at the end of a task: spawn is not, if a Spawn before it panicked.
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

// end reports what Close left over, and lets the test end.
func (r *reporter) end(err error) {
	var left *core.ShutdownError
	if errors.As(err, &left) {
		for _, task := range left.Remaining {
			r.report(task, "did not stop after it was cancelled")
		}
	}
	r.during(func() { r.over = true })
}

// attrsOf returns a space and the attributes of a task as JSON, or nothing if there are none.
// Encoding a TaskInfo resolves them, and cannot fail whatever they hold.
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

// output returns a writer to the test's output. Tasks may log after the end of the test: those lines
// are dropped.
func (r *reporter) output() writerFunc {
	out := r.t.Output()
	return func(line []byte) (n int, err error) {
		r.during(func() { n, err = out.Write(line) })
		return n, err
	}
}
