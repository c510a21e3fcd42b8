package core

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
)

// A PanicError is the error of a task that panicked.
type PanicError struct {
	Value any // what panic was called with
	// Stack is where it panicked, a function and its file and line for each call, innermost first:
	// from the call of panic outwards, without the frames of the runtime and of this module.
	Stack []byte

	task *Task // which panicked; nil: made by a middleware
}

// Error returns the panic's value in words, without the stack. It prints errors, Stringers and
// values of basic kinds. Of everything else it prints the type: the value may contain itself, or be
// in use by another goroutine.
func (e *PanicError) Error() string { return "panic: " + panicText(e.Value) }

// panicText never panics, and never follows a value into maps, slices, structs or pointers.
func panicText(value any) (text string) {
	defer func() {
		if recover() != nil { // a method of the user's
			text = fmt.Sprintf("%T", value)
		}
	}()
	switch v := value.(type) {
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	}
	switch v := reflect.ValueOf(value); {
	case v.Kind() == reflect.String:
		return v.String()
	case v.CanInt(), v.CanUint(), v.CanFloat(), v.CanComplex(), v.Kind() == reflect.Bool:
		return fmt.Sprint(value)
	default:
		return fmt.Sprintf("%T", value)
	}
}

// Unwrap returns the panic's value if that is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrorType returns "panic". OpenTelemetry's semantic conventions call it error.type:
// https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
func (e *PanicError) ErrorType() string { return "panic" }

// PanicOf returns the panic in err's tree, if the task itself panicked: its Func, or a middleware.
// A panic of another task, whose error this one returned after waiting for it, is an ordinary
// error.
func (t *Task) PanicOf(err error) (panicked *PanicError, ok bool) {
	defer contain() // methods of err are the user's
	panicked = t.findPanic(err)
	return panicked, panicked != nil
}

// findPanic walks err's tree as errors.As does.
func (t *Task) findPanic(err error) *PanicError {
	for err != nil {
		if p, ok := err.(*PanicError); ok && p != nil && (p.task == t || p.task == nil) {
			return p
		}
		if x, ok := err.(interface{ As(any) bool }); ok {
			var p *PanicError
			if x.As(&p) && p != nil && (p.task == t || p.task == nil) {
				return p
			}
		}
		switch x := err.(type) {
		case *PanicError:
			if x == nil {
				return nil
			}
			err = x.Unwrap()
		case interface{ Unwrap() error }:
			err = x.Unwrap()
		case interface{ Unwrap() []error }:
			for _, branch := range x.Unwrap() {
				if p := t.findPanic(branch); p != nil {
					return p
				}
			}
			return nil
		default:
			return nil
		}
	}
	return nil
}

// contain is deferred around calls of the user's code, such as a log handler or the method of an
// error, where a panic must not harm a task.
func contain() { _ = recover() }

// recovered makes an error of what recover returned in a deferred call of a function of t's that
// did not return.
//
// A nil v is either runtime.Goexit, and then nobody will see the error, or a panic(nil) in a
// program that runs with GODEBUG=panicnil=1.
func recovered(v any, t *Task) *PanicError {
	if v == nil {
		v = new(runtime.PanicNilError)
	}
	// A middleware panicked again with the error that it got: the first stack tells more.
	if again, ok := v.(*PanicError); ok && again != nil && again.task == t {
		return again
	}
	return &PanicError{Value: v, Stack: panicStack(), task: t}
}

// panicStack returns the stack of the panic that is being recovered, as PanicError describes it. It
// stops after 64 calls.
func panicStack() []byte {
	const most = 64
	pcs := make([]uintptr, 128)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var b strings.Builder
	began, n := false, 0
	for {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			began = true
		case !began, isHidden(frame.Function):
		case n == most:
			return []byte(b.String() + "...\n")
		default:
			n++
			fmt.Fprintf(&b, "%s(...)\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		}
		if !more {
			return []byte(b.String())
		}
	}
}

// isHidden reports whether a function is of the runtime or of this package.
func isHidden(function string) bool {
	for _, prefix := range []string{"runtime.", "internal/runtime/", "github.com/afterspan/afterspan/core."} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
