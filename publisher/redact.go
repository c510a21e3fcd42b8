package publisher

import "regexp"

// userinfo is what stands between the scheme and the host of a URL. A URL in quotes may be one that could not be parsed, and
// so have anything in it.
var userinfo = regexp.MustCompile(`(?i)("[a-z][a-z0-9+.-]*://)(?:[^"\\]|\\.)*@|(://)[^\s"']*@`)

// Redact returns err, or if its text has URLs with a user or a password in them, an error that hides both. It still matches
// all that err does. [Publish] and [Ordered] apply it: it is for adapters that log.
func Redact(err error) error {
	if err == nil {
		return nil
	}
	hidden := userinfo.ReplaceAllString(err.Error(), "${1}${2}***@")
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
