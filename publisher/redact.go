package publisher

import (
	"errors"
	"fmt"
	"strings"

	"github.com/afterspan/afterspan/core"
)

// Redact returns an error that hides the users and passwords of URLs in err's text. Where it cannot
// tell the end of a password, it hides more of the text. The returned error matches everything that
// err matches. It is err itself if its text has no such URL. [Go] and [Ordered] redact the errors of
// their tasks. Adapters that log should call Redact themselves.
func Redact(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	hidden := hide(text)
	if hidden == text {
		return err
	}
	return &reworded{text: hidden, err: err}
}

// hide returns the text without the users and passwords of URLs.
func hide(text string) string { return hideUserinfo(hideUnparsed(text)) }

// reworded is an error with another text.
type reworded struct {
	text string
	err  error
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.err }

// ErrorType returns the error type that otelmw and the OpenTelemetry conventions give the hidden
// error.
func (r *reworded) ErrorType() string {
	var named interface{ ErrorType() string }
	if errors.As(r.err, &named) {
		return named.ErrorType()
	}
	inner := r.err
	for next := errors.Unwrap(inner); next != nil; next = errors.Unwrap(inner) {
		inner = next
	}
	return fmt.Sprintf("%T", inner)
}

// redactPanic returns v, or an error with redacted text if the text of v has a password.
func redactPanic(v any) any {
	err, isError := v.(error)
	if !isError {
		// Its text is what the log shows of v. It is never made by following pointers.
		err = errors.New(strings.TrimPrefix((&core.PanicError{Value: v}).Error(), "panic: "))
	}
	if hidden := Redact(err); hidden != err {
		return hidden
	}
	return v
}
