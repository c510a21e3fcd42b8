package otelmw

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/afterspan/afterspan/core"
)

// errorType returns the value of error.type for an error of t: "timeout" for every timed_out,
// "panic", "goexit", the result of a method ErrorType() string in the chain, or the innermost type
// of the error that tells anything.
func errorType(t *core.Task, err error, outcome core.Outcome) (kind string) {
	defer func() {
		if recover() != nil { // in a method of err
			kind = "_OTHER"
		}
	}()
	_, panicked := t.PanicOf(err)
	switch {
	case outcome == core.TimedOut:
		return timeoutType
	case panicked:
		return "panic"
	case errors.Is(err, core.ErrGoexit):
		return "goexit"
	}
	if kind := namedType(err); kind != "" {
		return text(kind)
	}
	inner, tells := innermost(err)
	if !tells {
		return "*errors.errorString"
	}
	return text(typeName(inner))
}

// timeoutType is the error.type of every task that timed out.
const timeoutType = "timeout"

// namedType returns the result of the first method ErrorType in err's tree. It passes over panics:
// they are those of other tasks, which this one has waited for.
func namedType(err error) string {
	if named, ok := err.(interface{ ErrorType() string }); ok {
		if _, panicked := err.(*core.PanicError); !panicked {
			return named.ErrorType()
		}
	}
	for _, next := range unwrap(err) {
		if kind := namedType(next); kind != "" {
			return kind
		}
	}
	return ""
}

// typeName returns the type of err with its package path, or as it is written if it has none.
func typeName(err error) string {
	t := reflect.TypeOf(err)
	if t.PkgPath() == "" || t.Name() == "" {
		return t.String()
	}
	return t.PkgPath() + "." + t.Name()
}

// plainErrors are the types of package errors and fmt, which tell nothing about what went wrong.
var plainErrors = func() map[reflect.Type]bool {
	plain := errors.New("")
	types := make(map[reflect.Type]bool)
	for _, err := range []error{plain, fmt.Errorf("%w", plain), fmt.Errorf("%w%w", plain, plain), errors.Join(plain)} {
		types[reflect.TypeOf(err)] = true
	}
	return types
}()

// innermost returns the innermost error of err's tree whose type tells anything, in the first branch
// that has one. Otherwise it returns the innermost error of the first branch.
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
