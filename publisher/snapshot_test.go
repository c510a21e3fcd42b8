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

// What the publisher gets of an event's data. That it is a copy is in faults_test.go.

type receipt struct {
	Total int      `json:"total"`
	Lines []string `json:"lines,omitempty"`
}

func TestWhatJSONIsMadeOfKeepsItsType(t *testing.T) {
	data := map[string]any{
		"nil": nil, "bool": true, "string": "s", "float": 1.5, "int": 1, "int64": int64(-1), "uint8": uint8(255),
		"uint64": uint64(math.MaxUint64), "duration": time.Second, "strings": []string{"a"}, "no strings": []string{},
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

// Only so can it not change any more, and only so is it sure that it can be sent.
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
		"a number":           {json.Number("12345678901234567890"), `12345678901234567890`},
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

// One that refers to itself twice has more paths through it than there are atoms.
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
			require.ErrorContains(t, err, `Event.Data: ["cycle"]: [`)
			require.ErrorContains(t, err, "encountered a cycle")
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

// Every field is looked at, and the way to what is wrong is told.
func TestErrorsSayWhereInTheEventTheyAre(t *testing.T) {
	cause := errors.New("no session")
	for name, tc := range map[string]struct {
		event publisher.Event
		want  string
	}{
		"Data":       {publisher.Event{Data: map[string]any{"x": math.NaN()}}, `Event.Data: ["x"]: json: unsupported value: NaN`},
		"Metadata":   {publisher.Event{Metadata: map[string]any{"x": func() {}}}, `Event.Metadata: ["x"]: json: unsupported type: func()`},
		"a block":    {publisher.Event{ContentBlocks: []map[string]any{{}, {"x": 1i}}}, `["x"]: json: unsupported type: complex128`},
		"deep":       {publisher.Event{Data: map[string]any{"a": map[string]any{"b": []any{0, make(chan int)}}}}, `["a"]: ["b"]: [1]: json: unsupported type: chan int`},
		"an odd key": {publisher.Event{Data: map[string]any{"a\n\"": math.Inf(-1)}}, `["a\n\""]: json: unsupported value: -Inf`},
		"a method":   {publisher.Event{Data: map[string]any{"x": broken{cause}}}, `["x"]: json: error calling MarshalJSON for type publisher_test.broken: no session`},
		"a panic":    {publisher.Event{Data: map[string]any{"x": broken{}}}, `["x"]: publisher_test.broken panicked: no connection`},
	} {
		t.Run(name, func(t *testing.T) {
			tc.event.Kind, tc.event.Type, tc.event.ID = publisher.KindStreaming, publisher.TypeUpdate, "e-1"
			_, err := publish(t, publisher.Func(fail), tc.event)
			require.ErrorContains(t, err, "publisher: event e-1 cannot be sent: put only what marshals to JSON into Event.")
			require.ErrorContains(t, err, tc.want)
			assert.Equal(t, name == "a method", errors.Is(err, cause))
		})
	}
}
