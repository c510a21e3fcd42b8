package publisher

import (
	"errors"
	"fmt"
	"regexp"
)

// userinfo matches the scheme of a URL and everything up to its host. A password that is not
// escaped may contain any character. The match therefore ends at the last @ of the line, or of the
// quotes around the URL. It may hide too much, but not too little.
var userinfo = regexp.MustCompile(`(?i)("[a-z][a-z0-9+.-]*://)(?:[^"\\\n]|\\.)*@|(:\\*/\\*/)[^\n]*@`)

// unparsed matches an error of package net/url. Its text quotes the URL and then the part that is
// wrong. Either may be cut short and contain a part of the password. The backslashes are there
// because another error may have quoted the text again.
var unparsed = regexp.MustCompile(`(?i)(parse )\\*("[a-z][a-z0-9+.-]*://)[^\n]*`)

// Redact returns an error that hides the users and passwords of URLs in err's text. Where it cannot
// tell the end of a password, it hides more of the line. The returned error matches everything that
// err matches. It is err itself if its text has no such URL. [Go] and [Ordered] redact the
// errors of their tasks. Adapters that log should call Redact themselves.
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

// ErrorType returns the error type that otelmw and the OpenTelemetry conventions give the hidden
// error.
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

// redactPanic returns v, or an error with redacted text if the text of v has a password.
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
