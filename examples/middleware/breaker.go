package middleware

import (
	"context"
	"errors"
	"sync"

	"github.com/sony/gobreaker/v2"

	"github.com/afterspan/afterspan/core"
)

// Breaker refuses tasks while tasks of the same name keep failing. Each name has its own breaker, so a
// mail server that is down does not stop the tasks that write to a disk. Names are few, so breakers
// are never dropped.
//
// It is written on gobreaker, which needs only the standard library. It uses the two-step breaker:
// Execute counts when its function returns or panics, so a Goexit in the half-open state would never
// be counted, and the breaker would never close again.
//
// In the chain: innermost, next to what it protects. It may not call next at all, and otelmw sees only
// what passes it. From outside, otelmw still makes a span of a refused task, with outcome rejected.
//
// The refusal is a [*CircuitOpenError], which matches [core.ErrRejected]. The outcome is rejected, if
// the task was not tried before. With a retry outside, a task that is refused after a failed attempt
// has failed.
//
// A panic, a Goexit and the task's own timeout are failures. A cancelled task says nothing about the
// other side and is not counted.
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

// verdict returns the error that a breaker counts for err.
func verdict(t *core.Task, err error) error {
	switch t.OutcomeOf(err) {
	case core.Cancelled, core.Rejected:
		return errNotCounted
	default:
		return err
	}
}

// CircuitOpenError is the error of a refused task. It matches [core.ErrRejected] and gobreaker's
// error. It is a type of its own for its ErrorType, which spans and metrics show for a task that is
// refused after a failed attempt.
type CircuitOpenError struct {
	Name string // of the task
	err  error
}

// Error names the task whose circuit is open.
func (e *CircuitOpenError) Error() string { return e.Name + ": " + e.err.Error() }

// Unwrap returns core.ErrRejected and gobreaker's error, ErrOpenState or ErrTooManyRequests.
func (e *CircuitOpenError) Unwrap() []error { return []error{core.ErrRejected, e.err} }

// ErrorType returns the error.type of spans and metrics.
func (e *CircuitOpenError) ErrorType() string { return "circuit_open" }
