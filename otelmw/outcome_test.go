package otelmw_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

func assertStatus(t *testing.T, s sdktrace.ReadOnlySpan, description string) {
	t.Helper()
	assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: description}, s.Status())
}

func assertUnset(t *testing.T, s sdktrace.ReadOnlySpan) {
	t.Helper()
	assert.Equal(t, sdktrace.Status{Code: codes.Unset}, s.Status())
}

// wayOut is one of the ways in which a task can end.
type wayOut struct {
	name      string
	fn        core.Func
	timeout   time.Duration
	then      func(*core.Manager, *core.Task) // while it runs
	outcome   string
	errorType string // none: no error.type, and the status is left alone
	status    string
	panics    bool
}

var waysOut = []wayOut{
	{name: "completed", fn: succeed, outcome: "completed"},
	{
		name: "completed after its timeout", timeout: time.Second, outcome: "completed",
		fn: func(ctx context.Context) error { <-ctx.Done(); return nil },
	},
	{name: "failed", fn: fail, outcome: "failed", errorType: plainError, status: "smtp: mailbox full"},
	{
		name: "timed out", fn: obey, timeout: time.Second,
		outcome: "timed_out", errorType: "timeout", status: context.DeadlineExceeded.Error(),
	},
	{
		name: "timed out with an error of its own", timeout: time.Second,
		fn:      func(ctx context.Context) error { <-ctx.Done(); return errTask },
		outcome: "timed_out", errorType: "timeout", status: "smtp: mailbox full",
	},
	{
		name: "cancelled", fn: obey, outcome: "cancelled",
		then: func(_ *core.Manager, task *core.Task) { task.Cancel() },
	},
	{
		name: "cancelled with an error of its own", outcome: "cancelled",
		fn:   func(ctx context.Context) error { <-ctx.Done(); return errTask },
		then: func(_ *core.Manager, task *core.Task) { task.Cancel() },
	},
	{
		name: "cancelled by Close", fn: obey, outcome: "cancelled",
		then: func(m *core.Manager, _ *core.Task) { _ = m.Close() },
	},
	{
		name: "a context error that nobody caused", fn: func(context.Context) error { return context.Canceled },
		outcome: "failed", errorType: plainError, status: context.Canceled.Error(),
	},
	{
		name: "panic", fn: func(context.Context) error { panic("nil receipt") }, panics: true,
		outcome: "failed", errorType: "panic", status: "panic: nil receipt",
	},
	{
		name: "panic with an error", fn: func(context.Context) error { panic(errTask) }, panics: true,
		outcome: "failed", errorType: "panic", status: "panic: smtp: mailbox full",
	},
	{
		name: "panic after its timeout", timeout: time.Second, panics: true,
		fn:      func(ctx context.Context) error { <-ctx.Done(); panic("late") },
		outcome: "failed", errorType: "panic", status: "panic: late",
	},
	{
		name: "panic with nil", fn: func(context.Context) error { panic(nil) }, panics: true,
		outcome: "failed", errorType: "panic",
		status: "panic: " + recovered(func() { panic(nil) }),
	},
	{
		name: "runtime error", fn: func(context.Context) error { intoNilMap(); return nil }, panics: true,
		outcome: "failed", errorType: "panic", status: "panic: " + recovered(intoNilMap),
	},
	{
		name: "Goexit", fn: func(context.Context) error { runtime.Goexit(); return nil },
		outcome: "failed", errorType: "goexit", status: core.ErrGoexit.Error(),
	},
}

func intoNilMap() { var m map[string]int; m["a"]++ }

// recovered returns the value that f panics with, as text.
func recovered(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

// run runs the task of that way out, and waits for it.
func (w wayOut) run(t *testing.T, tel *telemetry, m *core.Manager) {
	t.Helper()
	task := m.Go(context.Background(), "job", w.fn, core.WithTimeout(w.timeout))
	if w.then != nil {
		synctest.Wait()
		w.then(m, task)
	}
	tel.wait(t, m)
	require.Equal(t, w.outcome, task.Outcome().String(), "the manager agrees")
}

// Success and cancel leave the status Unset: Ok is the service's to set, and a cancel is nobody's error.
func TestEveryWayOutEndsTheSpan(t *testing.T) {
	for _, w := range waysOut {
		inBubble(t, w.name, func(t *testing.T) {
			tel := newTelemetry(t)
			w.run(t, tel, tel.manager())
			require.Equal(t, []string{"job"}, tel.names(), "ended once")
			job := tel.span(t, "job")
			attrs := values(t, job.Attributes())
			assert.Equal(t, w.outcome, attrs["afterspan.task.outcome"])
			if w.errorType == "" {
				assertUnset(t, job)
				assert.NotContains(t, attrs, "error.type")
			} else {
				assertStatus(t, job, w.status)
				assert.Equal(t, w.errorType, attrs["error.type"])
			}
			if !w.panics {
				assert.Empty(t, job.Events(), "an error is the status, not an event beside it")
			}
		})
	}
}

// The stack is what a panic leaves behind: one event, as the conventions for exceptions have it.
func TestPanicIsOneExceptionEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, panicDeepInside, nil)
		require.Len(t, job.Events(), 1)
		event := job.Events()[0]
		assert.Equal(t, "exception", event.Name)
		attrs := values(t, event.Attributes)
		assert.Equal(t, plainError, attrs["exception.type"])
		assert.Equal(t, "panic: smtp: mailbox full", attrs["exception.message"])
		assert.Contains(t, attrs["exception.stacktrace"], "panicDeepInside")
		assert.NotContains(t, attrs["exception.stacktrace"], "afterspan/otelmw.")
		assert.Len(t, attrs, 3)
	})
}

func panicDeepInside(context.Context) error { panic(errTask) }

// A panic that a middleware further in wraps is still one.
func TestWrappedPanicIsOneExceptionEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		wrap := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			return fmt.Errorf("receipts: %w", next(ctx, task))
		})
		m := newManager(core.WithMiddleware(tel.middleware(), wrap))
		m.Go(context.Background(), "job", panicDeepInside)
		tel.wait(t, m)
		job := tel.span(t, "job")
		require.Len(t, job.Events(), 1)
		assert.Contains(t, values(t, job.Events()[0].Attributes)["exception.stacktrace"], "panicDeepInside")
		assert.Equal(t, "panic", values(t, job.Attributes())["error.type"])
		assertStatus(t, job, "receipts: panic: smtp: mailbox full")
	})
}

// What the service says itself about its task is final.
func TestStatusOfTheServiceStays(t *testing.T) {
	for name, fn := range map[string]core.Func{"success": succeed, "failure": fail} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			job := tel.job(t, func(ctx context.Context) error {
				trace.SpanFromContext(ctx).SetStatus(codes.Ok, "")
				return fn(ctx)
			}, nil)
			assert.Equal(t, sdktrace.Status{Code: codes.Ok}, job.Status())
		})
	}
}

func TestErrorThatTheServiceSetsStaysOnACompletedTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, func(ctx context.Context) error {
			trace.SpanFromContext(ctx).SetStatus(codes.Error, "no receipt printer")
			return nil
		}, nil)
		assertStatus(t, job, "no receipt printer")
		assert.Equal(t, "completed", values(t, job.Attributes())["afterspan.task.outcome"])
	})
}

// The service's own events and attributes stay beside ours.
func TestWhatTheServiceAddsToItsSpanStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, func(ctx context.Context) error {
			trace.SpanFromContext(ctx).AddEvent("queued at the mail server")
			return errTask
		}, nil)
		require.Len(t, job.Events(), 1)
		assert.Equal(t, "queued at the mail server", job.Events()[0].Name)
	})
}

// A task that ends its own span has done so; that harms nothing.
func TestTaskMayEndItsSpanItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, func(ctx context.Context) error {
			trace.SpanFromContext(ctx).End()
			time.Sleep(time.Second)
			return errTask
		}, nil)
		assert.Zero(t, job.EndTime().Sub(job.StartTime()))
		assert.InDelta(t, 1.0, tel.histogram(t, "afterspan.task.duration").DataPoints[0].Sum, 0)
	})
}

// For errors that tell more than traces may know. The event of a panic says no more than the status.
func TestErrorDescriptionIsAllThatIsWrittenOfAnError(t *testing.T) {
	for name, fn := range map[string]core.Func{
		"error": func(context.Context) error { return errors.New("password hunter2 is wrong") },
		"panic": func(context.Context) error { panic("password hunter2 is wrong") },
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			var given error
			job := tel.job(t, fn, []otelmw.Option{otelmw.WithErrorDescription(func(err error) string {
				given = err
				return "login failed"
			})})
			assertStatus(t, job, "login failed")
			assert.ErrorContains(t, given, "hunter2", "the callback sees the error itself")
			assert.NotContains(t, everythingOf(job), "hunter2")
			if name == "panic" {
				assert.Equal(t, "login failed", values(t, job.Events()[0].Attributes)["exception.message"])
			}
		})
	}
}

// everythingOf returns all that is exported of a span.
func everythingOf(s sdktrace.ReadOnlySpan) string {
	return fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Links(), s.Status())
}

// An error's text is asked for once: formatting it may be slow, or have effects.
func TestTextOfAnErrorIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		err := &countingError{}
		tel.job(t, func(context.Context) error { return err }, nil)
		assert.LessOrEqual(t, err.asked, 1)
	})
}

type countingError struct{ asked int }

func (e *countingError) Error() string { e.asked++; return "mailbox full" }

// The methods of an error are the service's code. A panic in there is reported, and changes no outcome.
func TestErrorWhoseTextPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, func(context.Context) error { return (*nilError)(nil) }, nil)
		assertStatus(t, job, "")
		assert.Equal(t, "failed", values(t, job.Attributes())["afterspan.task.outcome"])
		errs := handled.take()
		require.Len(t, errs, 1)
		assert.Contains(t, errs[0], "otelmw: the text of an error: panic")
	})
}

// nilError is the classic: a nil pointer in an interface that is not nil.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }
