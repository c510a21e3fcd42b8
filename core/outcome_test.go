package core_test

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

	"github.com/afterspan/afterspan/core"
)

// Promise 5: the outcome is decided once, from the state at the moment fn returns.

const limit = 10 * time.Second // the task's timeout in these tests

// What happens from outside, in seconds after the start of the run.
type events map[int]func(*core.Manager, *core.Task)

func cancelTask(_ *core.Manager, task *core.Task) { task.Cancel() }
func cancelAll(m *core.Manager, _ *core.Task)     { m.CancelAll() }
func closeManager(m *core.Manager, _ *core.Task)  { _ = m.Close() }
func shutDownNow(m *core.Manager, _ *core.Task) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = m.Shutdown(ctx)
}

// after takes n seconds, whatever becomes of its context, and then does what next does.
func after(n int, next core.Func) core.Func {
	return func(ctx context.Context) error {
		time.Sleep(time.Duration(n) * time.Second)
		return next(ctx)
	}
}

// ownErr is what an obedient task returns once it noticed, n seconds in, that its context is done.
func ownErr(ctx context.Context) error   { return ctx.Err() }
func ownCause(ctx context.Context) error { return context.Cause(ctx) }

func TestOutcome(t *testing.T) {
	exit := func(context.Context) error { runtime.Goexit(); return nil }
	others := func(context.Context) error { return fmt.Errorf("the other task: %w", core.ErrGoexit) }
	deadline := func(context.Context) error { return context.DeadlineExceeded } // of a call of its own
	cancelled := func(context.Context) error { return context.Canceled }

	for name, tc := range map[string]struct {
		fn      core.Func
		timeout time.Duration
		events  events
		want    core.Outcome
	}{
		// nil is completed, however late.
		"nil":                   {fn: succeed, want: core.Completed},
		"nil in time":           {fn: after(9, succeed), timeout: limit, want: core.Completed},
		"nil after the timeout": {fn: after(11, succeed), timeout: limit, want: core.Completed},
		"nil after Cancel":      {fn: after(2, succeed), events: events{1: cancelTask}, want: core.Completed},
		"nil after Close":       {fn: after(2, succeed), events: events{1: closeManager}, want: core.Completed},
		"nil after both":        {fn: after(12, succeed), timeout: limit, events: events{1: cancelTask}, want: core.Completed},

		// Errors of its own, while nothing has cancelled it.
		"error":                           {fn: fail, want: core.Failed},
		"error in time":                   {fn: after(9, fail), timeout: limit, want: core.Failed},
		"its own deadline, no timeout":    {fn: deadline, want: core.Failed},
		"its own deadline before timeout": {fn: after(9, deadline), timeout: limit, want: core.Failed},
		"its own cancellation":            {fn: cancelled, want: core.Failed},
		"ErrTimeout of another task":      {fn: func(context.Context) error { return core.ErrTimeout }, want: core.Failed},
		"ErrCancelled of another task":    {fn: func(context.Context) error { return core.ErrCancelled }, timeout: limit, want: core.Failed},

		// After the timeout.
		"ctx.Err at the timeout":          {fn: obey, timeout: limit, want: core.TimedOut},
		"its cause at the timeout":        {fn: after(11, ownCause), timeout: limit, want: core.TimedOut},
		"wrapped ctx.Err":                 {fn: after(11, func(ctx context.Context) error { return fmt.Errorf("send: %w", ctx.Err()) }), timeout: limit, want: core.TimedOut},
		"error after the timeout":         {fn: after(11, fail), timeout: limit, want: core.TimedOut},
		"cancelled call after timeout":    {fn: after(11, cancelled), timeout: limit, want: core.TimedOut},
		"error after timeout then Cancel": {fn: after(13, fail), timeout: limit, events: events{12: cancelTask}, want: core.TimedOut},
		"error after timeout then Close":  {fn: after(13, fail), timeout: limit, events: events{12: closeManager}, want: core.TimedOut},
		"ctx.Err, timeout then Cancel":    {fn: after(13, ownErr), timeout: limit, events: events{12: cancelTask}, want: core.TimedOut},

		// After a cancel, of each kind.
		"ctx.Err after Cancel":            {fn: obey, events: events{1: cancelTask}, want: core.Cancelled},
		"ctx.Err after CancelAll":         {fn: obey, events: events{1: cancelAll}, want: core.Cancelled},
		"ctx.Err after Close":             {fn: obey, events: events{1: closeManager}, want: core.Cancelled},
		"ctx.Err after Shutdown":          {fn: obey, events: events{1: shutDownNow}, want: core.Cancelled},
		"its cause after Cancel":          {fn: after(2, ownCause), events: events{1: cancelTask}, want: core.Cancelled},
		"its cause after Close":           {fn: after(2, ownCause), events: events{1: closeManager}, want: core.Cancelled},
		"error after Cancel":              {fn: after(2, fail), events: events{1: cancelTask}, want: core.Cancelled},
		"error after Cancel then timeout": {fn: after(12, fail), timeout: limit, events: events{1: cancelTask}, want: core.Cancelled},
		"own deadline after Cancel":       {fn: after(2, deadline), timeout: limit, events: events{1: cancelTask}, want: core.Cancelled},
		"error after Close then timeout":  {fn: after(12, fail), timeout: limit, events: events{1: closeManager}, want: core.Cancelled},
		"error after Cancel then Close":   {fn: after(3, fail), events: events{1: cancelTask, 2: closeManager}, want: core.Cancelled},

		// Panics and Goexit are failures, whatever came first.
		"panic":                {fn: explode, want: core.Failed},
		"panic after timeout":  {fn: after(11, explode), timeout: limit, want: core.Failed},
		"panic after Cancel":   {fn: after(2, explode), events: events{1: cancelTask}, want: core.Failed},
		"panic after Close":    {fn: after(2, explode), events: events{1: closeManager}, want: core.Failed},
		"panic with ctx.Err":   {fn: after(11, func(ctx context.Context) error { panic(ctx.Err()) }), timeout: limit, want: core.Failed},
		"Goexit":               {fn: exit, want: core.Failed},
		"Goexit after timeout": {fn: after(11, exit), timeout: limit, want: core.Failed},
		"Goexit after Cancel":  {fn: after(2, exit), events: events{1: cancelTask}, want: core.Failed},

		// Goexit of a task that this one waited for is an error like any other.
		"another's Goexit":               {fn: others, want: core.Failed},
		"another's Goexit after timeout": {fn: after(11, others), timeout: limit, want: core.TimedOut},
		"another's Goexit after Cancel":  {fn: after(2, others), events: events{1: cancelTask}, want: core.Cancelled},
	} {
		inBubble(t, name, func(t *testing.T) {
			var seen core.Outcome
			m := newManager(core.WithShutdownTimeout(0), core.WithMiddleware(witness(&seen)))
			task := m.Go(t.Context(), "x", tc.fn, core.WithTimeout(tc.timeout))
			tc.events.play(m, task)
			assertOutcome(t, tc.want, task)
			assert.Equal(t, tc.want == core.Completed, task.Err() == nil)
			if seen != core.Pending { // after Goexit nobody asks
				assert.Equal(t, tc.want.String(), seen.String(), "a middleware and the manager agree")
			}
		})
	}
}

// witness is a middleware that asks for the outcome of what next returned.
func witness(seen *core.Outcome) core.Middleware {
	return around(func(ctx context.Context, task *core.Task, next core.Handler) error {
		err := next(ctx, task)
		*seen = task.OutcomeOf(err)
		return err
	})
}

func (e events) play(m *core.Manager, task *core.Task) {
	synctest.Wait()
	for n := range 20 {
		if event := e[n]; event != nil {
			event(m, task)
		}
		time.Sleep(time.Second)
	}
}

// A middleware that changes the error changes the outcome; one that takes its time does not.
func TestOutcomeThroughAMiddleware(t *testing.T) {
	type handler = func(context.Context, *core.Task, core.Handler) error
	errOther := errors.New("other")
	swallow := func(ctx context.Context, task *core.Task, next core.Handler) error { _ = next(ctx, task); return nil }
	replace := func(ctx context.Context, task *core.Task, next core.Handler) error {
		_ = next(ctx, task)
		return errOther
	}
	wrap := func(ctx context.Context, task *core.Task, next core.Handler) error {
		if err := next(ctx, task); err != nil {
			return fmt.Errorf("wrapped: %w", err)
		}
		return nil
	}
	hold := func(ctx context.Context, task *core.Task, next core.Handler) error {
		err := next(ctx, task)
		time.Sleep(15 * time.Second)
		return err
	}
	holdAndReplace := func(ctx context.Context, task *core.Task, next core.Handler) error {
		_ = next(ctx, task)
		time.Sleep(15 * time.Second)
		return errOther
	}
	skip := func(after time.Duration) handler { // a circuit breaker
		return func(context.Context, *core.Task, core.Handler) error { time.Sleep(after); return errOther }
	}
	// retry calls again until its context is done, and returns what it then says.
	retry := func(says func(context.Context) error) handler {
		return func(ctx context.Context, task *core.Task, next core.Handler) error {
			for next(ctx, task) != nil {
				select {
				case <-time.After(4 * time.Second):
				case <-ctx.Done():
					return says(ctx)
				}
			}
			return nil
		}
	}
	retryOfLastErr := func(ctx context.Context, task *core.Task, next core.Handler) error {
		for {
			err := next(ctx, task)
			select {
			case <-time.After(4 * time.Second):
			case <-ctx.Done():
				return err // what failed, not what interrupted the wait
			}
		}
	}
	// poll calls twice, whatever comes of it, and waits then.
	poll := func(ctx context.Context, task *core.Task, next core.Handler) error {
		_, _ = next(ctx, task), next(ctx, task)
		<-ctx.Done()
		return ctx.Err()
	}
	ownTimeout := func(ctx context.Context, task *core.Task, next core.Handler) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return next(ctx, task)
	}
	wrappedErr := func(ctx context.Context) error { return fmt.Errorf("gave up: %w", ctx.Err()) }
	deadline := func(context.Context) error { return context.DeadlineExceeded }

	for name, tc := range map[string]struct {
		mw      handler
		fn      core.Func
		timeout time.Duration
		events  events
		want    core.Outcome
	}{
		"swallows an error":     {mw: swallow, fn: fail, want: core.Completed},
		"swallows a timeout":    {mw: swallow, fn: obey, timeout: limit, want: core.Completed},
		"swallows a cancel":     {mw: swallow, fn: obey, events: events{1: cancelTask}, want: core.Completed},
		"replaces an error":     {mw: replace, fn: fail, want: core.Failed},
		"replaces nil":          {mw: replace, fn: succeed, want: core.Failed},
		"replaces a panic":      {mw: replace, fn: explode, want: core.Failed},
		"replaces a timeout":    {mw: replace, fn: obey, timeout: limit, want: core.TimedOut},
		"replaces after Cancel": {mw: replace, fn: obey, events: events{1: cancelTask}, want: core.Cancelled},
		"replaces a panic after the timeout": {
			mw: replace, fn: after(11, explode), timeout: limit,
			want: core.TimedOut,
		},
		"wraps a timeout":                      {mw: wrap, fn: obey, timeout: limit, want: core.TimedOut},
		"wraps a panic after the timeout":      {mw: wrap, fn: after(11, explode), timeout: limit, want: core.Failed},
		"holds nil over the timeout":           {mw: hold, fn: succeed, timeout: limit, want: core.Completed},
		"holds an error over the timeout":      {mw: hold, fn: fail, timeout: limit, want: core.Failed},
		"holds an own deadline over it":        {mw: hold, fn: deadline, timeout: limit, want: core.Failed},
		"holds an error over Cancel":           {mw: hold, fn: fail, events: events{1: cancelTask}, want: core.Failed},
		"holds an error over Close":            {mw: hold, fn: fail, events: events{1: closeManager}, want: core.Failed},
		"holds a timeout over Cancel":          {mw: hold, fn: obey, timeout: limit, events: events{12: cancelTask}, want: core.TimedOut},
		"holds a cancel over the timeout":      {mw: hold, fn: obey, timeout: limit, events: events{1: cancelTask}, want: core.Cancelled},
		"holds a panic over the timeout":       {mw: hold, fn: explode, timeout: limit, want: core.Failed},
		"fails of its own after fn, late":      {mw: holdAndReplace, fn: succeed, timeout: limit, want: core.Failed},
		"skips fn":                             {mw: skip(0), fn: succeed, timeout: limit, want: core.Failed},
		"skips fn after the timeout":           {mw: skip(11 * time.Second), fn: succeed, timeout: limit, want: core.TimedOut},
		"skips fn after Cancel":                {mw: skip(2 * time.Second), fn: succeed, events: events{1: cancelTask}, want: core.Cancelled},
		"retry, in its backoff at timeout":     {mw: retry(ownErr), fn: fail, timeout: limit, want: core.TimedOut},
		"retry, which says the cause":          {mw: retry(ownCause), fn: fail, timeout: limit, want: core.TimedOut},
		"retry, which wraps it":                {mw: retry(wrappedErr), fn: fail, timeout: limit, want: core.TimedOut},
		"retry, in its backoff at Cancel":      {mw: retry(ownErr), fn: fail, events: events{1: cancelTask}, want: core.Cancelled},
		"retry, cause at Cancel":               {mw: retry(ownCause), fn: fail, timeout: limit, events: events{1: cancelTask}, want: core.Cancelled},
		"retry, in its backoff at Close":       {mw: retry(ownErr), fn: fail, events: events{1: closeManager}, want: core.Cancelled},
		"retry of a timed out call, the cause": {mw: retry(ownCause), fn: deadline, timeout: limit, want: core.TimedOut},
		"retry, which says the last failure":   {mw: retryOfLastErr, fn: fail, timeout: limit, want: core.Failed},
		"retry, whose last failure is late":    {mw: retryOfLastErr, fn: failsThen(2, after(9, fail)), timeout: limit, want: core.TimedOut},
		"retry, at its end":                    {mw: retry(ownErr), fn: failsTimes(2), timeout: limit, want: core.Completed},
		"retry, interrupted in a later call":   {mw: retry(ownErr), fn: failsThen(2, obey), timeout: limit, want: core.TimedOut},
		"retry, with a late success":           {mw: retry(ownErr), fn: failsThen(2, after(9, succeed)), timeout: limit, want: core.Completed},
		"replaces nil after the timeout":       {mw: replace, fn: after(11, succeed), timeout: limit, want: core.TimedOut},
		"polls, and is interrupted after a success": {
			mw: poll, fn: fails1st(deadline, succeed), timeout: limit,
			want: core.TimedOut,
		},
		"a limit of the middleware's own": {mw: ownTimeout, fn: obey, timeout: limit, want: core.Failed},
	} {
		inBubble(t, name, func(t *testing.T) {
			var outer core.Outcome
			m := newManager(core.WithShutdownTimeout(0), core.WithMiddleware(witness(&outer), around(tc.mw)))
			task := m.Go(t.Context(), "x", tc.fn, core.WithTimeout(tc.timeout))
			tc.events.play(m, task)
			assertOutcome(t, tc.want, task)
			assert.Equal(t, tc.want.String(), outer.String(), "a middleware and the manager agree")
		})
	}
}

// fails1st does what first does, and after that what next does.
func fails1st(first, next core.Func) core.Func {
	called := false
	return func(ctx context.Context) error {
		if !called {
			called = true
			return first(ctx)
		}
		return next(ctx)
	}
}

func failsTimes(n int) core.Func { return failsThen(n, succeed) }

// failsThen fails n times, and then does what next does.
func failsThen(n int, next core.Func) core.Func {
	return func(ctx context.Context) error {
		if n--; n >= 0 {
			return errTask
		}
		return next(ctx)
	}
}

// A Spawn may ask before the run has begun, and so may the owner of a queued task's handle.
func TestOutcomeOfBeforeTheStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1), core.WithMiddleware(spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
			assert.Equal(t, core.Failed, task.OutcomeOf(errTask))
			if task.Name() == "cancelled" {
				task.Cancel()
				assert.Equal(t, core.Cancelled, task.OutcomeOf(errTask))
				assert.Equal(t, core.Completed, task.OutcomeOf(nil))
			}
			return ctx
		})))
		assertOutcome(t, core.Cancelled, m.Go(t.Context(), "cancelled", obey))
		m.Go(t.Context(), "first", ignore(time.Minute))
		queued := m.Go(t.Context(), "queued", succeed, core.WithTimeout(time.Second))
		time.Sleep(2 * time.Second)
		require.Equal(t, core.Failed, queued.OutcomeOf(errTask), "its timeout has not begun")
		assertOutcome(t, core.Completed, queued)
	})
}

// A page or a test may ask once more when the task is done.
func TestOutcomeOfAgreesAfterTheEnd(t *testing.T) {
	circuitOpen := func(context.Context, *core.Task, core.Handler) error { return errTask }
	backoff := func(ctx context.Context, task *core.Task, next core.Handler) error {
		_ = next(ctx, task)
		<-ctx.Done()
		return ctx.Err()
	}
	for name, tc := range map[string]struct {
		h    func(context.Context, *core.Task, core.Handler) error
		want core.Outcome
	}{
		"fn was not called":      {circuitOpen, core.Failed},
		"a retry was in backoff": {backoff, core.TimedOut},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithMiddleware(around(tc.h)))
			task := m.Go(t.Context(), "x", fail, core.WithTimeout(limit))
			assertOutcome(t, tc.want, task)
			time.Sleep(2 * limit)
			require.Equal(t, tc.want.String(), task.OutcomeOf(task.Err()).String())
		})
	}
}

// CauseOf says what the log line says.
func TestCauseOf(t *testing.T) {
	for want, end := range map[string]func(*core.Manager, *core.Task, context.CancelFunc){
		"timeout":  func(*core.Manager, *core.Task, context.CancelFunc) { time.Sleep(time.Minute) },
		"cancel":   func(_ *core.Manager, task *core.Task, _ context.CancelFunc) { task.Cancel() },
		"shutdown": func(m *core.Manager, _ *core.Task, _ context.CancelFunc) { _ = m.Close() },
		"context":  func(_ *core.Manager, _ *core.Task, cancel context.CancelFunc) { cancel() },
	} {
		inBubble(t, want, func(t *testing.T) {
			var inside string
			var log logbook
			m := core.New(log.option(), core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
				err := next(ctx, task)
				inside = task.CauseOf(err)
				return err
			})))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			task := m.Go(ctx, "x", obey, core.Attached(), core.WithTimeout(time.Minute))
			synctest.Wait()
			end(m, task, cancel)
			require.Error(t, task.Wait(t.Context()))
			require.Equal(t, want, inside)
			require.Equal(t, want, task.CauseOf(task.Err()))
			require.Equal(t, "", task.CauseOf(nil))
			msg := msgCancelled
			if want == "timeout" {
				msg = msgTimedOut
			}
			require.Equal(t, want, log.only(t, msg).task()["cause"])
		})
	}
	t.Run("of a task that no manager knows", func(t *testing.T) {
		task := core.NewTask("x")
		for want, err := range map[string]error{
			"timeout": core.ErrTimeout, "cancel": core.ErrCancelled, "shutdown": core.ErrShutdown, "": errTask,
		} {
			require.Equal(t, want, task.CauseOf(err))
		}
	})
}
