package core_test

import (
	"context"
	"errors"
	"io"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promise 4: panics stay inside.

func explode(context.Context) error { panic("no such template") }

func TestPanicIsTheErrorOfTheTask(t *testing.T) {
	for name, tc := range map[string]struct {
		value any
		text  string
		is    error
	}{
		"a string":    {"no such template", "panic: no such template", nil},
		"an error":    {io.ErrUnexpectedEOF, "panic: unexpected EOF", io.ErrUnexpectedEOF},
		"a number":    {42, "panic: 42", nil},
		"a nil error": {error(nil), "", nil}, // the text is the runtime's
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager()
			task := m.Go(t.Context(), "panics", func(context.Context) error { panic(tc.value) })
			assertOutcome(t, core.Failed, task)

			var panicked *core.PanicError
			require.ErrorAs(t, task.Err(), &panicked)
			require.Contains(t, panicked.Error(), tc.text)
			require.Contains(t, string(panicked.Stack), "panic_test.go", "where it came from")
			require.Equal(t, "panic", panicked.ErrorType())
			if tc.value != nil {
				require.Equal(t, tc.value, panicked.Value)
			} else {
				require.IsType(t, new(runtime.PanicNilError), panicked.Value)
			}
			if tc.is != nil {
				require.ErrorIs(t, task.Err(), tc.is)
			}
		})
	}
}

func TestRuntimeErrorIsAPanicToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		var none map[string]int
		task := m.Go(t.Context(), "panics", func(context.Context) error { none["x"] = 1; return nil })
		var asRuntime runtime.Error
		require.ErrorAs(t, task.Wait(t.Context()), &asRuntime)
		require.Equal(t, core.Failed, task.Outcome())
	})
}

// Each middleware sees it as an ordinary error, and may make another of it.
func TestEveryLayerSeesAPanicAsAnError(t *testing.T) {
	errOuter := errors.New("outer")
	sees := func(name string, seen *journal, result func(error) error) core.Middleware {
		return around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			err := next(ctx, task)
			var panicked *core.PanicError
			assert.ErrorAs(t, err, &panicked, "%s", name)
			assert.Equal(t, core.Failed, task.OutcomeOf(err))
			seen.add(name + ": " + err.Error())
			return result(err)
		})
	}
	same := func(err error) error { return err }
	for name, tc := range map[string]struct {
		inner   func(error) error // of what the innermost middleware makes of the panic
		outcome core.Outcome
		seen    []string
		err     error
	}{
		"passed on":    {same, core.Failed, []string{"inner: panic: no such template", "outer: panic: no such template"}, nil},
		"thrown again": {func(err error) error { panic(err) }, core.Failed, []string{"inner: panic: no such template", "outer: panic: no such template"}, nil},
		"replaced by a panic of its own": {
			func(error) error { panic(errOuter) }, core.Failed,
			[]string{"inner: panic: no such template", "outer: panic: outer"},
			errOuter,
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			var seen journal
			m := newManager(core.WithMiddleware(sees("outer", &seen, same), sees("inner", &seen, tc.inner)))
			task := m.Go(t.Context(), "panics", explode)
			assertOutcome(t, tc.outcome, task)
			require.Equal(t, tc.seen, seen.all())
			if tc.err != nil {
				require.ErrorIs(t, task.Err(), tc.err)
			}
		})
	}
	inBubble(t, "the first stack is kept where it is thrown again", func(t *testing.T) {
		m := newManager(core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			panic(next(ctx, task))
		})))
		var panicked *core.PanicError
		require.ErrorAs(t, m.Go(t.Context(), "panics", explode).Wait(t.Context()), &panicked)
		require.Contains(t, string(panicked.Stack), "explode")
	})
	inBubble(t, "swallowed", func(t *testing.T) {
		m := newManager(core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			_ = next(ctx, task)
			return nil
		})))
		assertOutcome(t, core.Completed, m.Go(t.Context(), "panics", explode))
	})
}

func TestPanicOfAMiddlewaresHandler(t *testing.T) {
	for name, h := range map[string]func(context.Context, *core.Task, core.Handler) error{
		"before next": func(context.Context, *core.Task, core.Handler) error { panic("handler") },
		"after next": func(ctx context.Context, task *core.Task, next core.Handler) error {
			_ = next(ctx, task)
			panic("handler")
		},
		"in a deferred call": func(ctx context.Context, task *core.Task, next core.Handler) error {
			defer func() { panic("handler") }()
			return next(ctx, task)
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithLimit(1, 0), core.WithMiddleware(around(h)))
			for range 2 {
				task := m.Go(t.Context(), "x", succeed)
				assertOutcome(t, core.Failed, task)
				require.EqualError(t, task.Err(), "panic: handler")
			}
		})
	}
}

// spawnAndRun returns a middleware that notes both moments of a task.
func spawnAndRun(name string, notes *journal, spawn func(context.Context) context.Context) core.Middleware {
	mw := around(func(ctx context.Context, t *core.Task, next core.Handler) error {
		notes.add("run " + name)
		defer notes.add("end " + name)
		return next(ctx, t)
	})
	mw.Spawn = func(ctx context.Context, _ *core.Task) context.Context {
		notes.add("spawn " + name)
		if spawn != nil {
			return spawn(ctx)
		}
		return context.WithValue(ctx, key(name), "begun")
	}
	return mw
}

// What earlier Spawns began has to be ended: so the chain runs, but neither the later Spawns nor fn.
func TestSpawnThatDoesNotReturnAContext(t *testing.T) {
	for name, tc := range map[string]struct {
		spawn func(context.Context) context.Context
		err   string
	}{
		"panics":          {func(context.Context) context.Context { panic("spawn") }, "panic: spawn"},
		"panics with nil": {func(context.Context) context.Context { panic(nil) }, ""}, // the text is the runtime's
		"returns nil":     {func(context.Context) context.Context { return nil }, "panic: afterspan: a Spawn hook returned a nil context (hook 1"},
	} {
		for limit, opt := range map[string]core.Option{"no limit": core.WithLimit(0, 0), "limit": core.WithLimit(1, 1)} {
			inBubble(t, name+"/"+limit, func(t *testing.T) {
				var notes journal
				broken := spawnAndRun("b", &notes, tc.spawn)
				m := newManager(opt, core.WithMiddleware(spawnAndRun("a", &notes, nil), broken, spawnAndRun("c", &notes, nil)))
				for range 3 { // no slot stays reserved
					notes = journal{}
					task := m.Go(t.Context(), "x", func(context.Context) error {
						assert.Fail(t, "Func was called")
						return nil
					})
					assertOutcome(t, core.Failed, task)
					require.ErrorContains(t, task.Err(), tc.err)
					require.Equal(t, []string{"spawn a", "spawn b", "run a", "run b", "run c", "end c", "end b", "end a"}, notes.all())
				}
				require.Equal(t, core.Stats{Created: 3, Failed: 3}, counts(m))
				require.NoError(t, m.Close())
			})
		}
	}
}

// lost is a context that looks like one and is none.
type lost struct{ context.Context }

// halfLost is one whose Done alone works.
type halfLost struct{ lost }

func (halfLost) Done() <-chan struct{} { return make(chan struct{}) }

// noDeadline is one whose Deadline alone does not.
type noDeadline struct{ context.Context }

func (noDeadline) Done() <-chan struct{}       { return make(chan struct{}) }
func (noDeadline) Deadline() (time.Time, bool) { panic("no deadline") }

func TestContextOfASpawnThatPanicsDoesNotEndTheProcess(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for name, broken := range map[string]context.Context{
			"a nil struct":    (*lost)(nil),
			"an empty struct": lost{},
			"half a context":  halfLost{},
			"no deadline":     noDeadline{context.Background()},
		} {
			inBubble(t, name, func(t *testing.T) {
				m := newManager(core.WithLimit(1, 0), core.WithMiddleware(spawnFunc(
					func(context.Context, *core.Task) context.Context { return broken })))
				for range 2 {
					assertOutcome(t, core.Failed, m.Go(t.Context(), "x", succeed, core.WithTimeout(time.Second)))
				}
			})
		}
	})
}

// brokenSpawn is a middleware whose Spawn panics for the task "broken".
var brokenSpawn = core.WithMiddleware(spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
	if task.Name() == "broken" {
		panic("spawn")
	}
	return ctx
}))

// The task that waits behind it gets the slot.
func TestPanicOfASpawnInTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 2), brokenSpawn)
		m.Go(t.Context(), "first", ignore(time.Second))
		broken := m.Go(t.Context(), "broken", succeed)
		last := m.Go(t.Context(), "last", succeed)
		require.Equal(t, core.Stats{Created: 3, Running: 1, Queued: 2}, counts(m))
		assertOutcome(t, core.Failed, broken)
		assertOutcome(t, core.Completed, last)
		require.EqualError(t, broken.Err(), "panic: spawn")
	})
}

// The error of its Spawn counts more than a cancel after that.
func TestCancelInTheQueueAfterAPanicOfASpawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 2), brokenSpawn)
		m.Go(t.Context(), "first", ignore(time.Second))
		broken := m.Go(t.Context(), "broken", succeed)
		broken.Cancel()
		assertOutcome(t, core.Failed, broken)
		require.EqualError(t, broken.Err(), "panic: spawn")
		require.NoError(t, m.Wait(t.Context()))
	})
}

// A middleware can change the error of a Spawn as it can change any other.
func TestErrorOfASpawnPassesTheChain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithMiddleware(
			around(func(ctx context.Context, task *core.Task, next core.Handler) error {
				first, second := next(ctx, task), next(ctx, task) // a retry
				assert.Equal(t, first, second)
				assert.Equal(t, core.Failed, task.OutcomeOf(first))
				return nil
			}),
			spawnFunc(func(context.Context, *core.Task) context.Context { panic("spawn") })))
		assertOutcome(t, core.Completed, m.Go(t.Context(), "x", succeed))
	})
}

// runtime.Goexit cannot be stopped: the deferred calls run, and the task still ends.
func TestGoexit(t *testing.T) {
	exit := func() { runtime.Goexit() }
	for name, tc := range map[string]struct {
		fn    core.Func
		inner func(context.Context, *core.Task, core.Handler) error
	}{
		"of fn":                    {func(context.Context) error { exit(); return nil }, nil},
		"of a handler before next": {succeed, func(context.Context, *core.Task, core.Handler) error { exit(); return nil }},
		"of a handler after next": {succeed, func(ctx context.Context, task *core.Task, next core.Handler) error {
			defer exit()
			return next(ctx, task)
		}},
		"after a panic": {explode, func(ctx context.Context, task *core.Task, next core.Handler) error {
			if next(ctx, task) != nil {
				exit()
			}
			return nil
		}},
		"with a panic in a deferred call": {succeed, func(context.Context, *core.Task, core.Handler) error {
			defer func() { panic("late") }()
			exit()
			return nil
		}},
	} {
		inBubble(t, name, func(t *testing.T) {
			var notes journal
			var chain []core.Middleware
			if tc.inner != nil {
				chain = append(chain, around(tc.inner))
			}
			outer := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
				defer notes.add("deferred")
				err := next(ctx, task)
				notes.add("returned")
				return err
			})
			m := newManager(core.WithLimit(1, 0), core.WithMiddleware(append([]core.Middleware{outer}, chain...)...))
			for range 2 {
				notes = journal{}
				task := m.Go(t.Context(), "exits", tc.fn)
				assertOutcome(t, core.Failed, task)
				require.Equal(t, core.ErrGoexit, task.Err())
				require.Equal(t, []string{"deferred"}, notes.all())
			}
		})
	}
}

// Then it is the goroutine of the caller that ends. The task is not left behind.
func TestGoexitOfASpawn(t *testing.T) {
	for limit, opt := range map[string]core.Option{"no limit": core.WithLimit(0, 0), "limit": core.WithLimit(1, 0)} {
		inBubble(t, limit, func(t *testing.T) {
			var notes journal
			var spawned *core.Task
			m := newManager(opt, core.WithMiddleware(
				spawnAndRun("a", &notes, nil),
				spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
					spawned = task
					runtime.Goexit()
					return ctx
				})))
			caller := make(chan struct{})
			go func() {
				defer close(caller)
				m.Go(t.Context(), "x", succeed)
				assert.Fail(t, "Go has returned")
			}()
			<-caller
			assertOutcome(t, core.Failed, spawned)
			require.Equal(t, core.ErrGoexit, spawned.Err())
			require.Equal(t, []string{"spawn a", "run a", "end a"}, notes.all())
			require.Equal(t, core.Stats{Created: 1, Failed: 1}, counts(m))
		})
	}
}

// To print some values can overflow the stack or read what others write: python/cpython, golang/go#53237.
func TestTextOfAPanicNeverEndsTheProcess(t *testing.T) {
	cycle := map[string]any{}
	cycle["self"] = cycle
	type code int
	type record struct{ Next *record }
	loop := &record{}
	loop.Next = loop
	for name, tc := range map[string]struct {
		value any
		text  string
	}{
		"a map that contains itself":     {cycle, "panic: map[string]interface {}"},
		"a pointer to itself":            {loop, "panic: *core_test.record"},
		"a slice":                        {[]string{"a"}, "panic: []string"},
		"a string":                       {"no such template", "panic: no such template"},
		"a named number":                 {code(7), "panic: 7"},
		"a bool":                         {true, "panic: true"},
		"an error":                       {errTask, "panic: " + errTask.Error()},
		"a Stringer":                     {time.Second, "panic: 1s"},
		"a Stringer that panics":         {(*url.URL)(nil), "panic: *url.URL"},
		"an error whose method panics":   {panickyError{}, "panic: core_test.panickyError"},
		"a function":                     {func() {}, "panic: func()"},
		"a channel, in use by everybody": {make(chan int), "panic: chan int"},
	} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			m := core.New(log.option())
			task := m.Go(t.Context(), "x", func(context.Context) error { panic(tc.value) })
			assertOutcome(t, core.Failed, task)
			require.Equal(t, tc.text, task.Err().Error())
			require.Equal(t, tc.text, log.only(t, msgFailed)["error"])
		})
	}
}

type panickyError struct{}

func (panickyError) Error() string { panic("in Error") }

// The stack begins with the frame that panicked, and has no frames of the runtime or of core.
func TestStackOfAPanicIsTheUsers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var none map[string]int
		m := newManager(core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			return next(ctx, task)
		})))
		for name, fn := range map[string]core.Func{
			"explicit": explode,
			"runtime":  func(context.Context) error { none["x"] = 1; return nil },
		} {
			task := m.Go(t.Context(), name, fn)
			requireEnds(t, task)
			panicked, ok := task.PanicOf(task.Err())
			require.True(t, ok)
			stack := string(panicked.Stack)
			first, _, _ := strings.Cut(stack, "\n")
			require.Contains(t, first, "core_test.", stack)
			require.NotContains(t, stack, "/core.", stack)
			require.NotContains(t, stack, "runtime.", stack)
		}
	})
}
