package core_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The methods of an error are the user's code.
type hostileError struct{ is func() bool }

func (hostileError) Error() string   { return "hostile" }
func (e hostileError) Is(error) bool { return e.is() }
func (e hostileError) As(any) bool   { return e.is() }
func (e hostileError) Unwrap() error { e.is(); return nil }
func panics() bool                   { panic("in a method of an error") }
func exits() bool                    { runtime.Goexit(); return false }
func claimsToBeAnything() bool       { return true }

// incomparable is an error whose type has no ==.
type incomparable struct{ why []string }

func (e incomparable) Error() string { return e.why[0] }

func TestErrorWithMethodsOfAnyKind(t *testing.T) {
	returns := func(err error) core.Func { return func(context.Context) error { return err } }
	for name, fn := range map[string]core.Func{
		"panics when it is asked":        returns(hostileError{panics}),
		"is wrapped, and panics":         returns(fmt.Errorf("send: %w", hostileError{panics})),
		"has no ==":                      returns(incomparable{[]string{"why"}}),
		"is a nil PanicError":            returns((*core.PanicError)(nil)),
		"is a panic of a nil PanicError": func(context.Context) error { panic((*core.PanicError)(nil)) },
		"panicked, and panics":           func(context.Context) error { panic(hostileError{panics}) },
	} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			m := core.New(log.option(), core.WithLimit(1, 0))
			for range 2 {
				assertOutcome(t, core.Failed, m.Go(t.Context(), "x", fn))
			}
			lines := log.with(t, msgFailed)
			require.Len(t, lines, 2, "and it is logged: %v", log.lines(t))
			require.Equal(t, "ERROR", lines[0].level())
		})
	}
	inBubble(t, "says that it is a panic", func(t *testing.T) {
		task := newManager().Go(t.Context(), "x", func(ctx context.Context) error {
			<-ctx.Done()
			return hidesAPanic{}
		}, core.WithTimeout(time.Second))
		assertOutcome(t, core.Failed, task) // and not timed out
	})
	inBubble(t, "ends the goroutine when it is asked", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 0))
		for range 2 {
			assertOutcome(t, core.Failed, m.Go(t.Context(), "x", returns(hostileError{exits})))
		}
	})
	inBubble(t, "claims to be anything", func(t *testing.T) {
		m := newManager()
		task := m.Go(t.Context(), "x", returns(hostileError{claimsToBeAnything}))
		requireEnds(t, task)
		require.NotEqual(t, core.Pending, task.Outcome())
	})
}

// hidesAPanic has no panic in its chain, but says so if it is asked.
type hidesAPanic struct{}

func (hidesAPanic) Error() string { return "hides a panic" }

func (hidesAPanic) As(target any) bool {
	panicked, ok := target.(**core.PanicError)
	if ok {
		*panicked = &core.PanicError{Value: "hidden"}
	}
	return ok
}

// golang/go#74488: errors.Is panics on some of them, and ignores others.
func TestAnErrorThatCannotBeComparedIsTreatedLikeAnyOther(t *testing.T) {
	err := incomparable{[]string{"too late"}}
	inBubble(t, "after the timeout", func(t *testing.T) {
		task := newManager().Go(t.Context(), "x", after(2, func(context.Context) error { return err }),
			core.WithTimeout(time.Second))
		assertOutcome(t, core.TimedOut, task)
		require.Equal(t, core.TimedOut, task.OutcomeOf(task.Err()))
	})
	inBubble(t, "held over the timeout by a middleware", func(t *testing.T) {
		var outer core.Outcome
		m := newManager(core.WithMiddleware(witness(&outer), around(
			func(ctx context.Context, task *core.Task, next core.Handler) error {
				err := next(ctx, task)
				time.Sleep(time.Minute)
				return err
			})))
		task := m.Go(t.Context(), "x", func(context.Context) error { return err }, core.WithTimeout(time.Second))
		assertOutcome(t, core.Failed, task)
		require.Equal(t, core.Failed, outer)
		require.Equal(t, core.Failed, task.OutcomeOf(task.Err()))
	})
}
