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
