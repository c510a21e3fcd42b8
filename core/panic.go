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
	// Stack lists the calls from the panic outwards: the function, its file and its line. It leaves
	// out the frames of the runtime, of this package and of otelmw.
	Stack []byte

	task *Task // the task that panicked; nil if a middleware made the error
}

// Error returns the panic's value as text, without the stack. For values other than errors,
// Stringers, strings, numbers and booleans it returns the type: to print a value that contains
// itself, or that another goroutine writes, could end the process.
func (e *PanicError) Error() string { return "panic: " + panicText(e.Value) }

// panicText never panics. It never follows a value into maps, slices, structs or pointers by
// itself.
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

// ErrorType returns "panic", the value of error.type in OpenTelemetry's semantic conventions:
// https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
func (e *PanicError) ErrorType() string { return "panic" }

// PanicOf returns the first panic of this task, of its Func or a middleware, in err's tree. A panic
// of another task, whose error this one returned after waiting for it, does not count.
func (t *Task) PanicOf(err error) (panicked *PanicError, ok bool) {
	defer contain() // user code
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

// contain is deferred around user code, such as a log handler or the method of an error, where a
// panic must not harm a task.
func contain() { _ = recover() }

// recovered turns v, which recover returned, into the error of t.
//
// v is nil after runtime.Goexit, when nobody sees the error, and after panic(nil) in a program that
// runs with GODEBUG=panicnil=1.
func recovered(v any, t *Task) *PanicError {
	if v == nil {
		v = new(runtime.PanicNilError)
	}
	// A middleware panicked again with the error that it got. The first stack tells more.
	if again, ok := v.(*PanicError); ok && again != nil && again.task == t {
		return again
	}
	return &PanicError{Value: v, Stack: panicStack(), task: t}
}

// panicStack returns the stack of the panic that is being recovered, in the form of
// PanicError.Stack, at most 64 calls.
func panicStack() []byte {
	const maxCalls = 64
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
		case n == maxCalls:
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

// isHidden reports whether stacks leave a function out: one of the runtime, of this package or of
// otelmw.
func isHidden(function string) bool {
	const module = "github.com/afterspan/afterspan/"
	for _, prefix := range []string{"runtime.", "internal/runtime/", module + "core.", module + "otelmw."} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
