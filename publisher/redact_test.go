package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

// secret is in the URLs of these tests. Some passwords go on with rest-of-it, which stays visible
// if a pattern ends too early.
const secret = "hunter2"

func requireHidden(t *testing.T, text string) {
	t.Helper()
	for _, part := range []string{secret, "secretive", "rest-of-it"} {
		require.NotContains(t, text, part)
	}
}

// leakyErrors returns errors of broker clients that could not connect to a URL.
func leakyErrors() map[string]string {
	parse := func(raw string) string {
		_, err := url.Parse(raw)
		if err == nil {
			return fmt.Sprintf("parse %q: no", raw)
		}
		return err.Error()
	}
	return map[string]string{
		"plain":                "dial redis://user:hunter2@localhost:6379/0: connection refused",
		"no user":              "dial redis://:hunter2@localhost:6379",
		"a token":              "dial nats://hunter2@localhost:4222",
		"a user":               "dial amqp://secretive@localhost",
		"a scheme with a plus": "dial rediss+srv://user:hunter2@localhost",
		"upper case":           "DIAL AMQPS://USER:hunter2@HOST",
		"at the end":           "amqp://user:hunter2@",
		"at the start":         "amqp://user:hunter2@h: refused",
		"in brackets":          "[amqp://user:hunter2@h] (amqp://user:hunter2@h) <amqp://user:hunter2@h>",
		"two in a list":        "nats://user:hunter2@a:4222,nats://user:hunter2@b:4222: no servers",
		"two apart":            "amqp://user:hunter2@a failed, and redis://user:hunter2@b failed",
		"in single quotes":     "cannot connect to 'amqp://user:hunter2@h'",
		"in quotes":            `cannot connect to "amqp://user:hunter2@h"`,
		"in quotes twice":      fmt.Sprintf("%q", `parse "redis://user:hunter2 rest-of-it@h": no`),
		"an @ in the password": "dial redis://user:hunter2@rest-of-it@localhost:6379",
		"a / in the password":  "dial redis://user:hunter2/rest-of-it@localhost",
		"an escape":            "dial redis://user:hunter2%40rest-of-it@localhost",
		"over lines":           "first line\nredis://user:hunter2@h\nlast line",
		"a line break at the end of the password": "dial redis://user:hunter2\n@localhost:6379: refused",
		"line breaks of Windows":                  "dial redis://user:hunter2\r\n@localhost:6379: refused",
		"two line breaks":                         "dial redis://user:hunter2\n\n@localhost",
		"a line break and an @":                   "dial redis://user:hunter2@rest-of-it\n@localhost",
		"a line break and a space":                "dial redis://user:hunter2 rest-of-it\n @localhost",
		"a password of two lines":                 "dial redis://user:hunter2\nrest-of-it@localhost",
		"a password of three lines":               "dial redis://user:hunter2\nrest\nrest-of-it@localhost",
		"a line break in quotes":                  "cannot connect to \"redis://user:hunter2\n@localhost\"",
		"a line break, quoted":                    fmt.Sprintf("cannot connect to %q", "redis://user:hunter2\n@localhost"),
		"unparsable: a line break":                parse("redis://user:hunter2\n@localhost"),
		"unparsable: two lines":                   parse("redis://user:hunter2\nrest-of-it@localhost"),
		"unparsable: a space":                     parse("redis://user:hunter2 rest-of-it@localhost"),
		"unparsable: a quote":                     parse(`redis://user:hunter2"rest-of-it @localhost`),
		"unparsable: a backslash":                 parse(`redis://user:hunter2\rest-of-it @localhost`),
		"unparsable: a tab":                       parse("redis://user:hunter2\trest-of-it@localhost"),
		"unparsable: a % and an @":                parse("redis://user:hunter2%-@rest-of-it@localhost"),
		"unparsable: an accent":                   parse("redis://user:hunter2é rest-of-it@localhost"),
	}
}

func TestRedactHidesUserAndPassword(t *testing.T) {
	for name, text := range leakyErrors() {
		t.Run(name, func(t *testing.T) {
			got := publisher.Redact(errors.New(text)).Error()
			requireHidden(t, got)
			assert.Contains(t, got, "://***@")
			assert.Equal(t, got, publisher.Redact(errors.New(got)).Error(), "a second time changes nothing")
		})
	}
}

func TestRedactLeavesTheRestOfTheText(t *testing.T) {
	for in, want := range map[string]string{
		"dial redis://user:hunter2@localhost:6379/0: connection refused": "dial redis://***@localhost:6379/0: connection refused",
		`parse "amqp://u:hunter2 x@h": invalid userinfo`:                 `parse "amqp://***@***": not a valid URL`,
		"a amqp://u:p@a b redis://u:p@b c":                               "a amqp://***@b c",
		"dial redis://u:p\n@h: refused":                                  "dial redis://***@h: refused",
		"sink 0: Post http://h:80: refused\nsink 1: redis://u:p@h":       "sink 0: Post http://h:80: refused\nsink 1: redis://***@h",
		"redis://u:p@h: refused\nsink 1: mail@h":                         "redis://***@h: refused\nsink 1: mail@h",
		"'amqp://u:p@a' \"amqp://u:p@b\"":                                "'amqp://***@b\"",
	} {
		assert.Equal(t, want, publisher.Redact(errors.New(in)).Error())
	}
}

func TestRedactLeavesOtherErrorsAlone(t *testing.T) {
	for _, text := range []string{
		"", "connection refused", "dial tcp 127.0.0.1:6379: refused", "http://localhost:8222/varz: 404",
		"mail to user@example.com", "user:pw@host",
	} {
		err := errors.New(text)
		assert.Same(t, err, publisher.Redact(err), text)
	}
	require.NoError(t, publisher.Redact(nil))
}

func TestRedactedErrorsStillMatch(t *testing.T) {
	opErr := &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
	err := publisher.Redact(fmt.Errorf("amqp://u:hunter2@h: %w, then %w", opErr, io.ErrUnexpectedEOF))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	var as *net.OpError
	require.ErrorAs(t, err, &as)
	assert.Same(t, opErr, as)
	assert.False(t, errors.Is(err, io.EOF))
	for _, verb := range []string{"%v", "%+v", "%s", "%q", "%#v"} {
		requireHidden(t, fmt.Sprintf(verb, err))
	}
}

// hostileTexts are long texts that are almost URLs, many times over.
func hostileTexts(n int) map[string]string {
	texts := make(map[string]string)
	for _, part := range []string{
		"a://b", `"a://`, `"a://\`, "://\n", ":\\/", `parse "a://`, "a://@", "a://@\n", "a://\n@", `"a://@" `, "@", ":", "\\", "://a \n", "x",
	} {
		texts[part] = strings.Repeat(part, n/len(part))
		texts[part+" and an @"] = texts[part] + "@"
		texts[part+" and an @ in the next line"] = texts[part] + "\nx @"
		texts[part+" and an @ behind words"] = texts[part] + "\nx y @"
	}
	return texts
}

// With 4 MB, work that grows with the square of the length would not end in the life of the test.
func TestRedactGetsThroughLongTexts(t *testing.T) {
	for name, text := range hostileTexts(4 << 20) {
		once := publisher.Redact(errors.New(text)).Error()
		assert.Equal(t, once, publisher.Redact(errors.New(once)).Error(), name)
	}
}

// The number of allocations does not depend on the length of a text without passwords.
func TestRedactOfATextWithoutPasswordsAllocatesNothing(t *testing.T) {
	for _, text := range []string{"connection refused", strings.Repeat("a long text with user@host and http://h:80 ", 1<<10) + "\n"} {
		err := errors.New(strings.ReplaceAll(text, "user@host", "user"))
		assert.Zero(t, testing.AllocsPerRun(10, func() { _ = publisher.Redact(err) }))
	}
}

func BenchmarkRedactLongTexts(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 20} {
		for _, part := range []string{"x", "a://b", "a://@\n"} {
			err := errors.New(strings.Repeat(part, n/len(part)))
			b.Run(fmt.Sprintf("%q/%d bytes", part, n), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					_ = publisher.Redact(err)
				}
			})
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, text := range leakyErrors() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := publisher.Redact(errors.New(text)).Error()
		twice := publisher.Redact(errors.New(once)).Error()
		if strings.Contains(text, "\n") { // a second time may hide more, where two lines have become one
			require.LessOrEqual(t, len(twice), len(once))
			return
		}
		require.Equal(t, once, twice)
	})
}

// A password is hidden whatever it contains, if it is on one line or ends with line breaks.
func FuzzRedactPassword(f *testing.F) {
	f.Add("dial ", "hunter2", "h:6379: refused")
	f.Add("", "a@b c\"/\\", "h\nnext")
	f.Fuzz(func(t *testing.T, before, password, after string) {
		if strings.ContainsAny(password, "\n\"") || strings.ContainsAny(before, "\n\"@:") || len(password) < 3 || strings.Contains(before+"redis://***@"+after, password) {
			t.Skip("the password has quotes or line breaks, or is in the rest of the text")
		}
		for _, end := range []string{"", "\n", "\r\n", "\n\n"} {
			got := publisher.Redact(errors.New(before + "redis://user:" + password + end + "@" + after)).Error()
			require.NotContains(t, got, password)
		}
	})
}
