package publisher_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

// These tests show the data that the publisher receives. faults_test.go shows that it is a copy.

type receipt struct {
	Total int      `json:"total"`
	Lines []string `json:"lines,omitempty"`
}

func TestWhatJSONIsMadeOfKeepsItsType(t *testing.T) {
	data := map[string]any{
		"nil": nil, "bool": true, "string": "s", "float": 1.5, "int": 1, "int64": int64(-1), "uint8": uint8(255),
		"uint64": uint64(1 << 63), "duration": time.Second, "strings": []string{"a"}, "no strings": []string{},
		"map": map[string]any{"deep": []any{map[string]any{"x": int8(1)}, nil}}, "empty": map[string]any{}, "none": []any{},
	}
	e := small("t-1", "")
	e.Data, e.Metadata, e.ContentBlocks = data, data, []map[string]any{data, nil, {}}
	sink := &inbox{}
	_, err := publish(t, sink, e)
	require.NoError(t, err)
	got := sink.only(t)
	assert.Equal(t, data, got.Data)
	assert.Equal(t, data, got.Metadata)
	assert.Equal(t, e.ContentBlocks, got.ContentBlocks)
}

// Marshalling freezes the value, and shows that it can be sent.
func TestWhatIsOfAnotherTypeIsMarshalledAtTheCall(t *testing.T) {
	for name, tc := range map[string]struct {
		value any
		want  string
	}{
		"a struct":           {receipt{Total: 3}, `{"total":3}`},
		"a pointer":          {&receipt{Total: 3, Lines: []string{"a"}}, `{"total":3,"lines":["a"]}`},
		"a nil pointer":      {(*receipt)(nil), `null`},
		"a map of its own":   {map[string]int{"b": 2, "a": 1}, `{"a":1,"b":2}`},
		"a slice":            {[]int{1, 2}, `[1,2]`},
		"bytes":              {[]byte("hi"), `"aGk="`},
		"a time":             {time.Unix(0, 0).UTC(), `"1970-01-01T00:00:00Z"`},
		"a float32":          {float32(1.5), `1.5`},
		"raw JSON":           {json.RawMessage(`{"a": 1}`), `{"a":1}`},
		"a number":           {json.Number("1234567890.125"), `1234567890.125`},
		"a nil map":          {map[string]any(nil), `null`},
		"a nil slice":        {[]any(nil), `null`},
		"nil strings":        {[]string(nil), `null`},
		"a string of a kind": {publisher.TypeStart, `"start"`},
	} {
		t.Run(name, func(t *testing.T) {
			e, sink := small("t-1", ""), &inbox{}
			e.Data = map[string]any{"x": tc.value}
			_, err := publish(t, sink, e)
			require.NoError(t, err)
			assert.Equal(t, map[string]any{"x": json.RawMessage(tc.want)}, sink.only(t).Data)
		})
	}
}

func TestNilAndEmptyStayWhatTheyAre(t *testing.T) {
	sink := &inbox{}
	_, err := publish(t, sink, small("t-1", ""))
	require.NoError(t, err)
	got := sink.only(t)
	assert.Nil(t, got.Data)
	assert.Nil(t, got.Metadata)
	assert.Nil(t, got.ContentBlocks)
	assert.Nil(t, got.ContentType)
}

func TestDeepDataIsCopiedWhole(t *testing.T) {
	deep := map[string]any{"n": 0}
	for n := range 300 {
		deep = map[string]any{"n": n + 1, "map": deep, "slice": []any{"x"}}
	}
	e, sink := small("t-1", ""), &inbox{}
	e.Data = deep
	_, err := publish(t, sink, e)
	require.NoError(t, err)
	want, err := json.Marshal(deep)
	require.NoError(t, err)
	got, err := json.Marshal(sink.only(t).Data)
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(got))
}

// A value that refers to itself twice has too many paths to follow them all.
func TestCyclesAreFoundSoon(t *testing.T) {
	m := map[string]any{}
	m["a"], m["b"], m["list"] = m, m, []any{m, m}
	list := []any{nil, nil}
	list[0], list[1] = list, list
	for name, cyclic := range map[string]any{"a map": m, "a slice": list} {
		t.Run(name, func(t *testing.T) {
			e := small("t-1", "")
			e.Data = map[string]any{"cycle": cyclic}
			task, err := publish(t, publisher.Func(fail), e)
			assert.Equal(t, "failed", task.Outcome().String())
			require.ErrorContains(t, err, `Event.Data has a value that JSON cannot carry: ["cycle"]: [`)
			var unsupported *json.UnsupportedValueError
			require.ErrorAs(t, err, &unsupported)
		})
	}
}

type broken struct{ err error }

func (b broken) MarshalJSON() ([]byte, error) {
	if b.err == nil {
		panic("no connection")
	}
	return nil, b.err
}

// All fields are checked, and the error has the path to the value.
func TestErrorsSayWhereInTheEventTheyAre(t *testing.T) {
	cause := errors.New("no session")
	for name, tc := range map[string]struct {
		event publisher.Event
		want  string // our part of the text
		as    any    // where package json finds the error: a pointer to its type
	}{
		"Data":       {publisher.Event{Data: map[string]any{"x": math.NaN()}}, `Event.Data has a value that JSON cannot carry: ["x"]: `, new(*json.UnsupportedValueError)},
		"Metadata":   {publisher.Event{Metadata: map[string]any{"x": func() {}}}, `Event.Metadata has a value that JSON cannot carry: ["x"]: `, new(*json.UnsupportedTypeError)},
		"a block":    {publisher.Event{ContentBlocks: []map[string]any{{}, {"x": 1i}}}, `Event.ContentBlocks has a value that JSON cannot carry: [1]: ["x"]: `, new(*json.UnsupportedTypeError)},
		"deep":       {publisher.Event{Data: map[string]any{"a": map[string]any{"b": []any{0, make(chan int)}}}}, `["a"]: ["b"]: [1]: `, new(*json.UnsupportedTypeError)},
		"an odd key": {publisher.Event{Data: map[string]any{"a\n\"": math.Inf(-1)}}, `["a\n\""]: `, new(*json.UnsupportedValueError)},
		"a method":   {publisher.Event{Data: map[string]any{"x": broken{cause}}}, `Event.Data has a value that JSON cannot carry: ["x"]: `, new(*json.MarshalerError)},
		"a panic":    {publisher.Event{Data: map[string]any{"x": broken{}}}, `["x"]: publisher_test.broken panicked: no connection`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tc.event.Kind, tc.event.Type, tc.event.ID = publisher.KindStreaming, publisher.TypeUpdate, "e-1"
			_, err := publish(t, publisher.Func(fail), tc.event)
			require.ErrorContains(t, err, "publisher: event e-1 cannot be sent: Event.")
			require.ErrorContains(t, err, tc.want)
			if tc.as != nil {
				require.ErrorAs(t, err, tc.as)
			}
			assert.Equal(t, name == "a method", errors.Is(err, cause))
		})
	}
}
