package otelmw

import (
	"errors"
	"fmt"
	"reflect"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/afterspan/afterspan/core"
)

// errorType returns the value of error.type: "timeout" for every timed_out; "panic" and "goexit"; what a method
// ErrorType() string in the chain says; else the innermost type that tells anything.
func errorType(err error, outcome core.Outcome) (kind string) {
	defer func() {
		if recover() != nil { // a method of err
			kind = semconv.ErrorTypeOther.Value.AsString()
		}
	}()
	switch {
	case outcome == core.TimedOut:
		return "timeout"
	case errors.Is(err, core.ErrGoexit):
		return "goexit"
	}
	var named interface{ ErrorType() string }
	if errors.As(err, &named) {
		if kind := named.ErrorType(); kind != "" {
			return text(kind)
		}
	}
	inner, _ := innermost(err)
	return text(semconv.ErrorType(inner).Value.AsString())
}

// plainErrors are the types that tell nothing about what went wrong.
var plainErrors = func() map[reflect.Type]bool {
	plain := errors.New("")
	types := make(map[reflect.Type]bool)
	for _, err := range []error{plain, fmt.Errorf("%w", plain), fmt.Errorf("%w%w", plain, plain), errors.Join(plain)} {
		types[reflect.TypeOf(err)] = true
	}
	return types
}()

// innermost returns the innermost error of err's tree whose type tells anything, in the first branch that has
// one; else the innermost of the first branch.
func innermost(err error) (inner error, tells bool) {
	for _, next := range unwrap(err) {
		if next == nil {
			continue
		}
		found, tells := innermost(next)
		if tells {
			return found, true
		}
		if inner == nil {
			inner = found
		}
	}
	if inner == nil || !plainErrors[reflect.TypeOf(err)] {
		return err, !plainErrors[reflect.TypeOf(err)]
	}
	return inner, false
}

func unwrap(err error) []error {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	default:
		return nil
	}
}
