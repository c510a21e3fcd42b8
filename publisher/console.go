package publisher

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A ConsoleOption configures [Console]. A nil option does nothing.
type ConsoleOption func(*console)

// WithJSONLines makes [Console] write each event as a line of JSON, as [Event.MarshalJSON] returns
// it.
func WithJSONLines() ConsoleOption {
	return func(c *console) { c.line = jsonLine }
}

// Console returns a publisher that writes each event to w, as one line for people to read. Each
// line is one call of Write, and the calls do not overlap. If Write hangs, Publish returns when its
// ctx is done, and the line may still be written later. Console panics if w is nil.
func Console(w io.Writer, opts ...ConsoleOption) Publisher {
	if w == nil {
		panic("publisher: Console: the Writer is nil")
	}
	c := &console{w: w, line: readableLine, turn: make(chan struct{}, 1)}
	for _, opt := range opts {
		if opt != nil {
			opt(c)
		}
	}
	return c
}

type console struct {
	w    io.Writer
	line func(Event) ([]byte, error)
	turn chan struct{} // holds a value while a Write is running
}

func (c *console) Publish(ctx context.Context, event Event) error {
	line, err := c.line(event.complete().traced(ctx))
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	// Not Bound: it may return without calling the function, and the turn would never end.
	return await(ctx, start(func() error {
		defer func() { <-c.turn }()
		n, err := c.w.Write(line)
		if err == nil && n < len(line) {
			err = io.ErrShortWrite // some Writers do not return it
		}
		return err
	}))
}

func jsonLine(e Event) ([]byte, error) {
	line, err := encodeJSON(e)
	if err != nil {
		return nil, err
	}
	return append(escape(line, unicode.IsControl), '\n'), nil
}

// readableLine returns the event as a line for people. It leaves out empty fields, and puts the
// content last.
func readableLine(e Event) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", e.Timestamp.Format(time.RFC3339Nano), word(string(e.Kind)), word(string(e.Type)))
	for _, field := range []struct{ name, value string }{
		{"node", e.NodeName}, {"thread", e.ThreadID}, {"run", e.RunID}, {"user", e.UserID},
	} {
		if field.value != "" {
			fmt.Fprintf(&b, " %s=%s", field.name, word(field.value))
		}
	}
	if e.Sequence != 0 {
		fmt.Fprintf(&b, " #%d", e.Sequence)
	}
	if e.IsError {
		b.WriteString(" ERROR")
	}
	if e.Content != "" {
		b.WriteString(" " + strconv.Quote(e.Content))
	}
	for _, part := range e.parts() {
		value, err := marshal(part.value)
		if err != nil {
			return nil, e.unserialisable(part.field, err)
		}
		fmt.Fprintf(&b, " %s=%s", part.name, escape(value, unprintable))
	}
	b.WriteByte('\n')
	return []byte(b.String()), nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// escape replaces the odd characters in JSON by their \u escapes. Package json leaves control
// characters above ASCII as they are, and a terminal may obey them. JSON has such characters only
// in strings, so its meaning does not change.
func escape(json []byte, odd func(rune) bool) []byte {
	var out []byte
	for _, r := range string(json) {
		switch high, low := utf16.EncodeRune(r); {
		case !odd(r):
			out = utf8.AppendRune(out, r)
		case high == unicode.ReplacementChar: // r needs no surrogate pair
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
	}
	return out
}

// word returns s, in quotes unless it is one printable word. The result has no line break.
func word(s string) string {
	odd := func(r rune) bool { return unicode.IsSpace(r) || unprintable(r) || r == '"' || r == '=' }
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}
