package middleware

import (
	"context"
	"errors"
	"sync"

	"github.com/sony/gobreaker/v2"

	"github.com/afterspan/afterspan/core"
)

// Breaker fails tasks at once while those of the same name keep failing. Each name has a breaker of its own: names are few, so
// none is ever thrown away, and a mail server that is down does not stop the tasks that write to a disk.
//
// It is written on gobreaker, which needs nothing but the standard library; failsafe-go does as well, and lists gRPC and
// protocol buffers in its go.mod. Of gobreaker it takes the breaker in two steps: after Execute, which counts when its
// function returns or panics, a Goexit while it is half open would be missing for ever, and the breaker never close again.
//
// In the chain: the innermost, next to what it protects. It may not call next at all, and otelmw sees only what passes it: from
// outside, otelmw still makes a span of a task that was turned away, failed, with error.type circuit_open.
//
// A panic, a Goexit and the task's own timeout are failures. A task that was cancelled says nothing about the other side and
// is not counted.
func Breaker(settings gobreaker.Settings) core.Middleware {
	var breakers sync.Map // by the name of the task
	excluded := settings.IsExcluded
	settings.IsExcluded = func(err error) bool { return err == errNotCounted || excluded != nil && excluded(err) }
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			breaker, ok := breakers.Load(t.Name())
			if !ok {
				settings := settings
				settings.Name = t.Name()
				breaker, _ = breakers.LoadOrStore(t.Name(), gobreaker.NewTwoStepCircuitBreaker[any](settings))
			}
			report, err := breaker.(*gobreaker.TwoStepCircuitBreaker[any]).Allow()
			if err != nil {
				return &CircuitOpenError{Name: t.Name(), err: err}
			}
			err = core.ErrGoexit // stands if next does not return
			defer func() { report(verdict(t, err)) }()
			err = next(ctx, t)
			return err
		}
	})
}

var errNotCounted = errors.New("neither a success nor a failure")

// verdict returns what a breaker is to make of err.
func verdict(t *core.Task, err error) error {
	if t.OutcomeOf(err) == core.Cancelled {
		return errNotCounted
	}
	return err
}

// CircuitOpenError is the error of a task that was turned away. It is a type, and not gobreaker's sentinel alone, for its
// ErrorType: spans and metrics could not tell that sentinel from any other.
type CircuitOpenError struct {
	Name string // of the task
	err  error
}

// Error says whose circuit is open.
func (e *CircuitOpenError) Error() string { return e.Name + ": " + e.err.Error() }

// Unwrap returns gobreaker's error: ErrOpenState or ErrTooManyRequests.
func (e *CircuitOpenError) Unwrap() error { return e.err }

// ErrorType is what otelmw calls it.
func (e *CircuitOpenError) ErrorType() string { return "circuit_open" }
