package publisher

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// snapshot returns a copy of the event. No later change to the original changes the copy, and the
// copy keeps no memory of the original alive: a web framework may reuse the bytes of its strings, and
// a short string may be a part of a large one (https://go.dev/issue/69370).
func (e Event) snapshot() (Event, error) {
	e = e.cloneText()
	if err := checkTime(e.Timestamp); err != nil {
		return e, e.refused(err)
	}
	var err error
	if e.Data, err = copyMap(e.Data, 2); err != nil {
		return e, e.unserialisable("Data", err)
	}
	if e.Metadata, err = copyMap(e.Metadata, 2); err != nil {
		return e, e.unserialisable("Metadata", err)
	}
	e.ContentBlocks = slices.Clone(e.ContentBlocks)
	for i, block := range e.ContentBlocks {
		if e.ContentBlocks[i], err = copyMap(block, 3); err != nil {
			return e, e.unserialisable("ContentBlocks", fmt.Errorf("[%d]: %w", i, err))
		}
	}
	return e, nil
}

// cloneText returns the event with strings of its own.
func (e Event) cloneText() Event {
	for _, s := range []*string{
		&e.ID, (*string)(&e.Kind), (*string)(&e.Type), &e.Content,
		&e.NodeName, &e.RunID, &e.ThreadID, &e.UserID, &e.TraceParent, &e.TraceState,
	} {
		*s = strings.Clone(*s)
	}
	e.ContentType = slices.Clone(e.ContentType)
	for i, c := range e.ContentType {
		e.ContentType[i] = ContentType(strings.Clone(string(c)))
	}
	return e
}

func (e Event) unserialisable(field string, err error) error {
	field = "Event." + field
	return e.refused(fmt.Errorf("%s has a value that JSON cannot carry: %w", field, err))
}

func (e Event) refused(err error) error {
	return Permanent(fmt.Errorf("publisher: event %s cannot be sent: %w", Abbreviate(e.ID), err))
}

// copyDepth is how many levels of maps and slices are copied one by one. Deeper levels are
// marshalled, after a check for cycles.
const copyDepth = 100

// copyMap returns a copy of m, which is at that depth of the event's JSON.
func copyMap(m map[string]any, depth int) (map[string]any, error) {
	if m == nil {
		return nil, nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		copied, err := copyValue(v, depth)
		if err != nil {
			return nil, fmt.Errorf("[%q]: %w", Abbreviate(k), err)
		}
		key := cloneKey(k)
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("[%q]: %w", Abbreviate(k), errTwice)
		}
		out[key] = copied
	}
	return out, nil
}

// errTwice is the error of an object with two keys that are the same for a reader.
var errTwice = errors.New("another key is the same in JSON")

// cloneKey returns a copy of k. It replaces each byte of invalid UTF-8, as package json does.
func cloneKey(k string) string {
	if utf8.ValidString(k) {
		return strings.Clone(k)
	}
	return string([]rune(k))
}

func copySlice(s []any, depth int) ([]any, error) {
	out := make([]any, len(s))
	for i, v := range s {
		copied, err := copyValue(v, depth)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		out[i] = copied
	}
	return out, nil
}

// copyValue copies values of JSON's own types, and marshals all others. Marshalling shows that a
// value can be sent, and freezes what its pointers lead to. depth is that of the map or slice that v
// is in.
func copyValue(v any, depth int) (any, error) {
	switch v := v.(type) {
	case nil, bool, int8, int16, int32, uint8, uint16, uint32:
		return v, nil
	case string:
		return strings.Clone(v), nil
	case int:
		return v, checkNumber(strconv.Itoa(v))
	case int64:
		return v, checkNumber(strconv.FormatInt(v, 10))
	case uint:
		return v, checkNumber(strconv.FormatUint(uint64(v), 10))
	case uint64:
		return v, checkNumber(strconv.FormatUint(v, 10))
	case time.Duration:
		return v, checkNumber(strconv.FormatInt(int64(v), 10))
	case float64:
		_, err := marshal(v) // NaN and infinities do not marshal
		return v, err
	case []string:
		if v != nil {
			return cloneStrings(v), nil
		}
	case map[string]any:
		if v != nil && depth < copyDepth {
			return copyMap(v, depth+1)
		}
	case []any:
		if v != nil && depth < copyDepth {
			return copySlice(v, depth+1)
		}
	}
	raw, err := marshal(v)
	if err != nil {
		return nil, err
	}
	return raw, checkJSON(raw, depth)
}

func cloneStrings(s []string) []string {
	out := make([]string, len(s))
	for i := range s {
		out[i] = strings.Clone(s[i])
	}
	return out
}

// marshal is json.Marshal, except that it returns a panic of a method of v as an error, refuses a
// value that would overflow the stack, and shortens the text of its error.
func marshal(v any) (raw json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			raw, err = nil, shorten(fmt.Errorf("%T panicked: %v", v, p))
		}
	}()
	if err := checkNesting(v); err != nil {
		return nil, err
	}
	raw, err = json.Marshal(v)
	return raw, shorten(err)
}
