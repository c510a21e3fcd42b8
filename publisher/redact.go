package publisher

import (
	"errors"
	"fmt"
	"regexp"
)

// userinfo is what stands between the scheme and the host of a URL. A password that should have been escaped may have anything
// in it: so it goes to the last @ of the line, or of the quotes that the URL is in, and takes rather too much than too little.
var userinfo = regexp.MustCompile(`(?i)("[a-z][a-z0-9+.-]*://)(?:[^"\\\n]|\\.)*@|(:\\*/\\*/)[^\n]*@`)

// unparsed is an error of package net/url. It quotes the URL, and then the part that is wrong, either of which may be cut short and
// have a part of the password in it. Another error may have quoted all of it again.
var unparsed = regexp.MustCompile(`(?i)(parse )\\*("[a-z][a-z0-9+.-]*://)[^\n]*`)

// Redact returns err, or if its text has URLs with a user or a password in them, an error that hides both, and what else of the
// line may belong to them. It still matches all that err does. [Publish] and [Ordered] apply it: it is for adapters that log.
func Redact(err error) error {
	if err == nil {
		return nil
	}
	hidden := unparsed.ReplaceAllString(err.Error(), `${1}${2}***@***": not a valid URL`)
	hidden = userinfo.ReplaceAllString(hidden, "${1}${2}***@")
	if hidden == err.Error() {
		return err
	}
	return &redacted{text: hidden, err: err}
}

type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string { return r.text }
func (r *redacted) Unwrap() error { return r.err }

// ErrorType returns what otelmw and OpenTelemetry's conventions would have called the error without its disguise.
func (r *redacted) ErrorType() string {
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

// redactPanic returns what was panicked with, or an error that hides the same as Redact.
func redactPanic(v any) any {
	err, isError := v.(error)
	if !isError {
		err = fmt.Errorf("%v", v)
	}
	if hidden := Redact(err); hidden != err {
		return hidden
	}
	return v
}
