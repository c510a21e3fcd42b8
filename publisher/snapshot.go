package publisher

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// snapshot returns a copy of the event. No later change to the original changes the copy.
func (e Event) snapshot() (Event, error) {
	var err error
	if e.Data, err = copyMap(e.Data, 0); err != nil {
		return e, e.unserialisable("Data", err)
	}
	if e.Metadata, err = copyMap(e.Metadata, 0); err != nil {
		return e, e.unserialisable("Metadata", err)
	}
	e.ContentBlocks = slices.Clone(e.ContentBlocks)
	for i, block := range e.ContentBlocks {
		if e.ContentBlocks[i], err = copyMap(block, 0); err != nil {
			return e, e.unserialisable("ContentBlocks", fmt.Errorf("[%d]: %w", i, err))
		}
	}
	e.ContentType = slices.Clone(e.ContentType)
	return e, nil
}

func (e Event) unserialisable(field string, err error) error {
	return Permanent(fmt.Errorf("publisher: event %s cannot be sent: put only values that marshal to JSON into Event.%s: %w", e.ID, field, err))
}

// maxDepth is how many levels of maps and slices are copied one by one. Package json marshals
// deeper levels, and detects cycles.
const maxDepth = 100

func copyMap(m map[string]any, depth int) (map[string]any, error) {
	if m == nil {
		return nil, nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		copied, err := copyValue(v, depth)
		if err != nil {
			return nil, fmt.Errorf("[%q]: %w", k, err)
		}
		out[k] = copied
	}
	return out, nil
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
// value can be sent, and freezes what its pointers lead to.
func copyValue(v any, depth int) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, time.Duration:
		return v, nil
	case []string:
		if v != nil {
			return slices.Clone(v), nil
		}
	case map[string]any:
		if v != nil && depth < maxDepth {
			return copyMap(v, depth+1)
		}
	case []any:
		if v != nil && depth < maxDepth {
			return copySlice(v, depth+1)
		}
	case float64:
		_, err := marshal(v) // NaN and infinities do not marshal
		return v, err
	}
	return marshal(v)
}

// marshal is json.Marshal, except that it returns a panic of a method of v as an error.
func marshal(v any) (raw json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			raw, err = nil, fmt.Errorf("%T panicked: %v", v, p)
		}
	}()
	return json.Marshal(v)
}
