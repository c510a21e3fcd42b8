package taskz

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Limits in bytes, unless they say otherwise.
const (
	maxName     = 128
	maxTraceID  = 128
	maxValue    = 256
	maxAttrs    = 1 << 10 // of all attributes of a task
	maxPairs    = 32      // attributes
	maxError    = 1 << 10
	maxStack    = 4 << 10
	maxElements = 64 // of a slice
)

// pairs are attributes as text, groups flattened with dots.
type pairs []pair

type pair struct{ key, value string }

// textOf resolves attributes and returns them as text of their own. It calls user code.
func textOf(attrs []slog.Attr) pairs {
	if len(attrs) == 0 {
		return nil
	}
	return collect(attrs, "")
}

// plainTextOf returns attributes as text of their own, with note in place of those whose text takes
// methods of the user's. It calls no user code.
func plainTextOf(attrs []slog.Attr, note string) pairs { return collect(attrs, note) }

func collect(attrs []slog.Attr, note string) pairs {
	c := collectors.Get().(*collector)
	c.text, c.ends, c.note = c.text[:0], c.ends[:0], note
	for _, a := range attrs {
		c.add("", a)
	}
	all := c.pairs()
	collectors.Put(c) // not deferred: after a panic or a Goexit of user code it is garbage
	return all
}

// A collector collects the text of attributes in one piece, so that it is one allocation.
type collector struct {
	text []byte
	ends []int  // of each key and each value
	note string // stands for values whose text takes methods of the user's; "": these are called
}

// collectors are pooled. A collector in a local variable could grow the stack of the task, which is
// copied when it outgrows 4 KiB: that takes longer than everything else here.
var collectors = sync.Pool{New: func() any { return new(collector) }}

// pairs cuts the text into pairs.
func (c *collector) pairs() pairs {
	all, begin := make(pairs, 0, len(c.ends)/2), 0
	text := string(c.text)
	for i := 0; i < len(c.ends); i += 2 {
		key, end := c.ends[i], c.ends[i+1]
		all = append(all, pair{text[begin:key], text[key:end]})
		begin = end
	}
	return all
}

// add adds an attribute, or the members of a group. Attributes beyond the limits are left out.
func (c *collector) add(prefix string, a slog.Attr) {
	v := a.Value
	if c.note != "" && isUsers(v) {
		v = slog.StringValue(c.note)
	}
	if v.Kind() == slog.KindLogValuer {
		v = v.Resolve() // recovers panics
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix = cut(prefix+a.Key, maxName) + "."
		}
		for _, member := range v.Group() {
			c.add(prefix, member)
		}
		return
	}
	if a.Key == "" && v.Equal(slog.Value{}) || len(c.ends) == 2*maxPairs || len(c.text) >= maxAttrs {
		return
	}
	c.text = appendCut(append(c.text, prefix...), a.Key, maxName)
	c.ends = append(c.ends, len(c.text))
	c.text = appendValue(c.text, v)
	c.ends = append(c.ends, len(c.text))
}

// appendValue appends the text of v, which is resolved.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendCut(b, v.String(), maxValue)
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	default:
		return appendCut(b, anyText(v.Any()), maxValue)
	}
}

// anyText returns errors, Stringers, basic kinds and slices of these as package fmt prints them,
// and everything else as JSON: fmt would follow a value that contains itself until the process
// ends.
func anyText(v any) (text string) {
	defer func() {
		if recover() != nil { // in a method of v's
			text = fmt.Sprintf("%T", v)
		}
	}()
	switch v := v.(type) {
	case nil:
		return "<nil>"
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	}
	r := reflect.ValueOf(v)
	t := r.Type()
	if t.Kind() == reflect.Slice {
		t = t.Elem()
		r = r.Slice(0, min(r.Len(), maxElements))
	}
	if isBasic(t.Kind()) {
		return fmt.Sprint(r.Interface())
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	return string(encoded)
}

// isBasic reports whether values of kind contain no others.
func isBasic(kind reflect.Kind) bool { return kind <= reflect.Complex128 || kind == reflect.String }

// errorText returns err's text. It calls user code.
func errorText(err error) (text string) {
	defer func() {
		if recover() != nil { // in a method of err's
			text = fmt.Sprintf("%T", err)
		}
	}()
	return strings.Clone(cut(err.Error(), maxError))
}

// appendCut appends s, or the start of it and an ellipsis, as valid UTF-8.
func appendCut(b []byte, s string, most int) []byte {
	if len(s) <= most && utf8.ValidString(s) {
		return append(b, s...)
	}
	return append(b, cut(s, most)...)
}

// cut returns s, or its first bytes and an ellipsis, as valid UTF-8. The result may share memory
// with s.
func cut(s string, most int) string {
	if len(s) > most {
		end := most
		for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) { // not within a rune
			end--
		}
		s = s[:end] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
