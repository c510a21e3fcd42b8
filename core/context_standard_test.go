package core_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The context of a task is of a type of its own, since most tasks never look at it. That must not
// show: each of these scenarios holds for a standard context and for that of a task.

// subject is the context of a run, and the two ways to end it from outside.
type subject struct {
	context.Context
	cancel func() // with ErrCancelled as the cause
	end    func() // the run is over
}

type subjectMaker func(t *testing.T, values context.Context, timeout time.Duration) subject

// standardSubject is what everybody would write.
func standardSubject(_ *testing.T, values context.Context, timeout time.Duration) subject {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(values))
	stop := func() {}
	if timeout > 0 {
		ctx, stop = context.WithTimeoutCause(ctx, timeout, core.ErrTimeout)
	}
	return subject{
		Context: ctx,
		cancel:  func() { cancel(core.ErrCancelled) },
		end:     func() { stop(); cancel(nil) },
	}
}

func taskSubject(t *testing.T, values context.Context, timeout time.Duration) subject {
	return taskOf(t, newManager(), values, timeout)
}

// limitedTaskSubject had to wait for its slot before.
func limitedTaskSubject(t *testing.T, values context.Context, timeout time.Duration) subject {
	m := newManager(core.WithLimit(1, 1))
	release := make(chan struct{})
	m.Go(t.Context(), "first", until(release))
	time.AfterFunc(time.Second, func() { close(release) })
	return taskOf(t, m, values, timeout)
}

// spawnedTaskSubject has a middleware that puts a cancellable context around the values.
func spawnedTaskSubject(t *testing.T, values context.Context, timeout time.Duration) subject {
	m := newManager(core.WithMiddleware(spawnFunc(func(ctx context.Context, _ *core.Task) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		t.Cleanup(cancel)
		return ctx
	})))
	return taskOf(t, m, values, timeout)
}

func taskOf(t *testing.T, m *core.Manager, values context.Context, timeout time.Duration) subject {
	inside, over := make(chan context.Context), make(chan struct{})
	task := m.Go(values, "subject", func(ctx context.Context) error {
		inside <- ctx
		<-over
		return nil
	}, core.WithTimeout(timeout))
	end := sync.OnceFunc(func() {
		close(over)
		<-task.Done()
	})
	t.Cleanup(end)
	return subject{Context: <-inside, cancel: task.Cancel, end: end}
}

var subjectMakers = []struct {
	name string
	make subjectMaker
}{
	{"standard", standardSubject},
	{"task", taskSubject},
	{"task that was queued", limitedTaskSubject},
	{"task with a cancellable Spawn", spawnedTaskSubject},
}

// everySubject runs a scenario with each kind of context, in a bubble each.
func everySubject(t *testing.T, name string, timeout time.Duration, scenario func(*testing.T, subject)) {
	t.Helper()
	values := context.WithValue(context.Background(), key("k"), "v")
	for _, sm := range subjectMakers {
		inBubble(t, name+"/"+sm.name, func(t *testing.T) {
			s := sm.make(t, values, timeout)
			scenario(t, s)
			s.end()
		})
	}
}

func requireAlive(t *testing.T, ctx context.Context) {
	t.Helper()
	require.NoError(t, context.Cause(ctx))
	require.NoError(t, context.Cause(ctx))
	require.NoError(t, ctx.Err())
	require.False(t, isDone(ctx))
	require.NoError(t, ctx.Err(), "once Done was asked for")
	require.NoError(t, context.Cause(ctx), "once Done was asked for")
}

func requireOver(t *testing.T, ctx context.Context, err, cause error) {
	t.Helper()
	require.Equal(t, cause, context.Cause(ctx))
	require.Equal(t, cause, context.Cause(ctx))
	require.Equal(t, err, ctx.Err())
	require.True(t, isDone(ctx))
	require.Equal(t, cause, context.Cause(ctx), "once Done was asked for")
	require.Equal(t, err, ctx.Err(), "once Done was asked for")
}

// looks are the first things that code does with a context. A context that is only made
// when somebody looks has to come out the same whichever it is.
var looks = map[string]func(context.Context){
	"nothing":       func(context.Context) {},
	"Err":           func(ctx context.Context) { _ = ctx.Err() },
	"Done":          func(ctx context.Context) { ctx.Done() },
	"Cause":         func(ctx context.Context) { _ = context.Cause(ctx) },
	"Cause of 1.25": func(ctx context.Context) { _ = context.Cause(ctx) },
	"Deadline":      func(ctx context.Context) { ctx.Deadline() },
	"Value":         func(ctx context.Context) { ctx.Value(key("k")) },
	"AfterFunc":     func(ctx context.Context) { context.AfterFunc(ctx, func() {}) },
	"WithoutCancel": func(ctx context.Context) { _ = context.WithoutCancel(ctx).Err() },
	"a child": func(ctx context.Context) {
		_, cancel := context.WithCancel(ctx)
		cancel()
	},
}

func TestContextEndsAsAStandardOneWhateverIsLookedAtFirst(t *testing.T) {
	const timeout = 10 * time.Second
	for look, first := range looks {
		everySubject(t, "timeout after "+look, timeout, func(t *testing.T, s subject) {
			first(s)
			time.Sleep(timeout - 1)
			synctest.Wait()
			first(s)
			time.Sleep(2)
			synctest.Wait()
			first(s)
			requireOver(t, s, context.DeadlineExceeded, core.ErrTimeout)
			s.cancel()
			requireOver(t, s, context.DeadlineExceeded, core.ErrTimeout)
		})
		everySubject(t, "cancel after "+look, timeout, func(t *testing.T, s subject) {
			first(s)
			s.cancel()
			first(s)
			requireOver(t, s, context.Canceled, core.ErrCancelled)
			time.Sleep(2 * timeout)
			requireOver(t, s, context.Canceled, core.ErrCancelled)
			s.end()
			requireOver(t, s, context.Canceled, core.ErrCancelled)
		})
		everySubject(t, "end after "+look, timeout, func(t *testing.T, s subject) {
			first(s)
			s.end()
			first(s)
			requireOver(t, s, context.Canceled, context.Canceled)
			time.Sleep(2 * timeout)
			requireOver(t, s, context.Canceled, context.Canceled)
		})
		everySubject(t, "end, and a look long after, after "+look, timeout, func(t *testing.T, s subject) {
			first(s)
			s.end()
			time.Sleep(2 * timeout)
			requireOver(t, s, context.Canceled, context.Canceled)
		})
		everySubject(t, "end after the timeout, which nobody looked at, after "+look, timeout, func(t *testing.T, s subject) {
			first(s)
			time.Sleep(timeout + 1)
			s.end()
			requireOver(t, s, context.DeadlineExceeded, core.ErrTimeout)
		})
		everySubject(t, "alive after "+look, timeout, func(t *testing.T, s subject) {
			first(s)
			time.Sleep(timeout - 1)
			requireAlive(t, s)
		})
		everySubject(t, "no timeout after "+look, 0, func(t *testing.T, s subject) {
			first(s)
			time.Sleep(time.Hour)
			requireAlive(t, s)
		})
	}
}

func TestContextIsStandardInWhatItSays(t *testing.T) {
	everySubject(t, "a deadline", time.Minute, func(t *testing.T, s subject) {
		deadline, limited := s.Deadline()
		require.True(t, limited)
		require.Equal(t, time.Minute, time.Until(deadline))
		s.Done()
		again, limited := s.Deadline()
		require.True(t, limited)
		require.True(t, deadline.Equal(again))
		s.end()
		_, limited = s.Deadline()
		require.True(t, limited, "also after the end")
	})
	everySubject(t, "no deadline", 0, func(t *testing.T, s subject) {
		_, limited := s.Deadline()
		require.False(t, limited)
		s.Done()
		_, limited = s.Deadline()
		require.False(t, limited)
	})
	everySubject(t, "one Done channel", time.Minute, func(t *testing.T, s subject) {
		before := s.Done()
		require.NotNil(t, before)
		s.cancel()
		require.Equal(t, before, s.Done())
		s.end()
		require.Equal(t, before, s.Done())
	})
	everySubject(t, "values", 0, func(t *testing.T, s subject) {
		for range 2 {
			require.Equal(t, "v", s.Value(key("k")))
			require.Nil(t, s.Value(key("other")))
			s.Done()
		}
		s.end()
		require.Equal(t, "v", s.Value(key("k")), "also after the end")
	})
}

func TestAfterFuncOfATaskContext(t *testing.T) {
	for ending, end := range map[string]func(subject){
		"cancel":  func(s subject) { s.cancel() },
		"timeout": func(subject) { time.Sleep(2 * time.Minute) },
		"end":     func(s subject) { s.end() },
	} {
		everySubject(t, "runs once on "+ending, time.Minute, func(t *testing.T, s subject) {
			var runs, stopped atomic.Int32
			stop := context.AfterFunc(s, func() { runs.Add(1) })
			forgo := context.AfterFunc(s, func() { stopped.Add(1) })
			synctest.Wait()
			require.Zero(t, runs.Load())
			require.True(t, forgo(), "stopped in time")
			require.False(t, forgo(), "stopped before")

			end(s)
			s.cancel()
			synctest.Wait()
			require.EqualValues(t, 1, runs.Load())
			require.False(t, stop(), "too late")
			require.Zero(t, stopped.Load())

			context.AfterFunc(s, func() { runs.Add(1) })
			synctest.Wait()
			require.EqualValues(t, 2, runs.Load(), "at once where the context is over")
		})
	}
}

func TestChildrenOfATaskContext(t *testing.T) {
	errChild := errors.New("child's own")
	type child struct {
		ctx        context.Context
		err, cause error // nil: inherited
	}
	family := func(t *testing.T, s subject) map[string]child {
		with := func(ctx context.Context, cancel context.CancelFunc) context.Context {
			t.Cleanup(cancel)
			return ctx
		}
		own, cancelOwn := context.WithCancelCause(s)
		cancelOwn(errChild)
		caused, cancelCaused := context.WithCancelCause(s)
		t.Cleanup(func() { cancelCaused(nil) })
		return map[string]child{
			"WithCancel":         {ctx: with(context.WithCancel(s))},
			"WithCancelCause":    {ctx: caused},
			"longer WithTimeout": {ctx: with(context.WithTimeoutCause(s, time.Hour, errChild))},
			"WithValue":          {ctx: context.WithValue(s, key("other"), 1)},
			"grandchild":         {ctx: with(context.WithCancel(with(context.WithCancel(context.WithValue(s, key("other"), 1)))))},
			"cancelled before":   {ctx: own, err: context.Canceled, cause: errChild},
		}
	}
	for ending, tc := range map[string]struct {
		end        func(subject)
		err, cause error
	}{
		"cancel":  {func(s subject) { s.cancel() }, context.Canceled, core.ErrCancelled},
		"end":     {func(s subject) { s.end() }, context.Canceled, context.Canceled},
		"timeout": {func(subject) { time.Sleep(2 * time.Minute); synctest.Wait() }, context.DeadlineExceeded, core.ErrTimeout},
	} {
		// As with standard contexts they have it when Cancel returns, not some time after.
		everySubject(t, "inherit its "+ending, time.Minute, func(t *testing.T, s subject) {
			children := family(t, s)
			without := context.WithoutCancel(s)
			tc.end(s)
			for name, c := range children {
				if c.err == nil {
					c.err, c.cause = tc.err, tc.cause
				}
				assert.Equal(t, c.err, c.ctx.Err(), name)
				assert.Equal(t, c.cause, context.Cause(c.ctx), name)
				assert.True(t, isDone(c.ctx), name)
			}
			requireAlive(t, without)
			late, cancel := context.WithCancel(s)
			defer cancel()
			requireOver(t, late, tc.err, tc.cause)
		})
	}
	everySubject(t, "may be shorter", time.Minute, func(t *testing.T, s subject) {
		c, cancel := context.WithTimeoutCause(s, time.Second, errChild)
		defer cancel()
		deadline, limited := c.Deadline()
		require.True(t, limited)
		require.Equal(t, time.Second, time.Until(deadline))
		time.Sleep(2 * time.Second)
		requireOver(t, c, context.DeadlineExceeded, errChild)
		requireAlive(t, s)
	})
	everySubject(t, "cannot be longer", time.Minute, func(t *testing.T, s subject) {
		c, cancel := context.WithTimeout(s, time.Hour)
		defer cancel()
		deadline, limited := c.Deadline()
		require.True(t, limited)
		require.Equal(t, time.Minute, time.Until(deadline))
	})
}

// A parent of an unknown type costs a goroutine for each of its children.
func TestChildrenOfATaskContextHoldNoGoroutine(t *testing.T) {
	everySubject(t, "10,000", time.Minute, func(t *testing.T, s subject) {
		before := runtime.NumGoroutine()
		for range 10_000 {
			_, cancel := context.WithCancel(s)
			defer cancel()
		}
		require.Less(t, runtime.NumGoroutine(), before+100)
	})
}

// Whoever is first makes the standard context: all have to get the same.
func TestManyMayLookAtATaskContextAtOnce(t *testing.T) {
	const lookers, rounds = 3, 500
	for _, sm := range subjectMakers {
		inBubble(t, sm.name, func(t *testing.T) {
			for range rounds {
				s := sm.make(t, context.Background(), time.Minute)
				var wg sync.WaitGroup
				var ready atomic.Int32
				channels := make([]<-chan struct{}, lookers)
				for i := range lookers {
					wg.Go(func() {
						for ready.Add(1); ready.Load() < lookers; { // so that they come at the same moment
							runtime.Gosched()
						}
						channels[i] = s.Done()
						child, cancel := context.WithCancel(s)
						defer cancel()
						<-child.Done()
						assert.Equal(t, core.ErrCancelled, context.Cause(child))
					})
				}
				wg.Go(s.cancel)
				wg.Wait()
				for _, c := range channels {
					require.Equal(t, s.Done(), c)
				}
				s.end()
			}
		})
	}
}
