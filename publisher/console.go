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

// A ConsoleOption configures [Console]. A nil one does nothing.
type ConsoleOption func(*console)

// WithJSONLines makes [Console] write each event as a line of JSON, as [Event.MarshalJSON] gives it.
func WithJSONLines() ConsoleOption {
	return func(c *console) { c.line = jsonLine }
}

// Console returns a publisher that writes each event to w, as one line for people to read, in one call of Write. There is one call at
// a time. One that hangs holds up no Publish longer than its ctx; its line may still be written later.
// It panics if w is nil.
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
	turn chan struct{} // holds a value while Write is called
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
	return await(ctx, start(func() error { // and not Bound, which may not call it: the turn would never end
		defer func() { <-c.turn }()
		n, err := c.w.Write(line)
		if err == nil && n < len(line) {
			err = io.ErrShortWrite // which not every Writer says
		}
		return err
	}))
}

func jsonLine(e Event) ([]byte, error) {
	line, err := marshal(e)
	if err != nil {
		return nil, fmt.Errorf("publisher: event %s cannot be written: %w", e.ID, err)
	}
	return append(escape(line, unicode.IsControl), '\n'), nil
}

// readableLine returns the event with what it says last, and leaves out what is empty.
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

// escape writes what is odd in JSON as \u does: package json leaves control characters above ASCII, of which a terminal may
// make something else. They can only be in strings.
func escape(json []byte, odd func(rune) bool) []byte {
	var out []byte
	for _, r := range string(json) {
		switch high, low := utf16.EncodeRune(r); {
		case !odd(r):
			out = utf8.AppendRune(out, r)
		case high == unicode.ReplacementChar: // is no pair
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
	}
	return out
}

// word returns s, in quotes if it is not one printable word: a line stays one line.
func word(s string) string {
	odd := func(r rune) bool { return unicode.IsSpace(r) || unprintable(r) || r == '"' || r == '=' }
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}
