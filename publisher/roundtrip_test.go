package publisher_test

import (
	"context"
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

// What Encode accepts, Decode reads back equal. Everything else is refused at the call.

func nested(levels int) any {
	var v any = 1
	for range levels {
		v = []any{v}
	}
	return v
}

// oddValues are values that JSON carries, and values that a reader would get back changed.
func oddValues() (carried, changed map[string]any) {
	carried = map[string]any{
		"2^53": int64(1 << 53), "-2^53": int64(-1 << 53), "2^60": int64(1 << 60), "2^63": uint64(1 << 63), "min int64": int64(math.MinInt64),
		"the largest float": math.MaxFloat64, "the smallest float": math.SmallestNonzeroFloat64, "minus zero": math.Copysign(0, -1),
		"0.1": 0.1, "a float32": float32(0.1), "json.Number": json.Number("1.50"), "an exponent": json.Number("1E+3"),
		"a small json.Number": json.Number("5e-324"), "a long 0.1": json.Number("0.1000000000000000055511151231257827"),
		"zero in long": json.Number("-0.000e99999"), "a big.Int": big.NewInt(1 << 40), "a round big.Int": new(big.Int).Lsh(big.NewInt(1), 1000),
		"raw JSON": json.RawMessage(`{"a":[1,{"b":"c"}],"\u0062":"\"{1e999"}`), "deep": nested(498 - 1), "a deep struct": struct{ X any }{nested(496)},
		"invalid UTF-8": map[string]any{"a\xff": "\xff"},
	}
	changed = map[string]any{
		"2^53+1": int64(1<<53 + 1), "-2^53-1": int64(-1<<53 - 1), "max int64": int64(math.MaxInt64), "max uint64": uint64(math.MaxUint64),
		"uint64": uint64(1<<53 + 1), "a long duration": time.Duration(1<<53 + 1),
		"a large json.Number": json.Number("1e400"), "a negative one": json.Number("-1e309"), "a tiny one": json.Number("1e-400"),
		"a long json.Number": json.Number("0.12345678901234567890"), "an exact one": json.Number("9007199254740993"),
		"a big.Int": new(big.Int).Exp(big.NewInt(10), big.NewInt(400), nil), "a big.Int of 60 digits": new(big.Int).Exp(big.NewInt(7), big.NewInt(70), nil),
		"a very long number": json.Number("0." + strings.Repeat("3", 1000)), "in a struct": struct{ N int64 }{1<<53 + 1},
		"in a slice": []any{map[string]any{"n": int64(1<<53 + 1)}}, "raw JSON": json.RawMessage(`[{"n":9007199254740993}]`),
		"a key twice": json.RawMessage(`{"a":1,"b":{},"a":2}`), "a key twice, escaped": json.RawMessage(`[{"a":1,"\u0061":2}]`),
		"a key twice after repair": map[string]any{"\xff": 1, "\xfe": 2}, "a struct of it": struct{ M map[string]int }{map[string]int{"\xff": 1, "\xfe": 2}},
		"too deep": nested(499), "much too deep": nested(9998), "a struct that is too deep": struct{ X any }{nested(498)},
		"deep raw JSON": json.RawMessage(strings.Repeat("[", 9990) + strings.Repeat("]", 9990)),
	}
	return carried, changed
}

// holders return an event that has the value in one of its fields.
var holders = map[string]func(e publisher.Event, v any) publisher.Event{
	"Data":          func(e publisher.Event, v any) publisher.Event { e.Data = map[string]any{"x": v}; return e },
	"Metadata":      func(e publisher.Event, v any) publisher.Event { e.Metadata = map[string]any{"x": v}; return e },
	"ContentBlocks": func(e publisher.Event, v any) publisher.Event { e.ContentBlocks = []map[string]any{{"x": v}}; return e },
}

func TestValuesThatJSONCarriesComeBackEqual(t *testing.T) {
	carried, _ := oddValues()
	for name, value := range carried {
		for field, hold := range holders {
			if field == "ContentBlocks" && name == "deep" {
				continue // a level deeper than the others
			}
			requireRoundTrip(t, hold(small("t-1", name), value))
		}
	}
}

func TestValuesThatWouldChangeAreRefusedAtTheCall(t *testing.T) {
	_, changed := oddValues()
	for name, value := range changed {
		t.Run(name, func(t *testing.T) {
			for field, hold := range holders {
				e, m := hold(small("t-1", name), value), newManager()
				for way, start := range ways(m, &inbox{}) {
					err := start(t.Context(), e).Wait(t.Context())
					require.ErrorContains(t, err, "Event."+field+" has a value that JSON cannot carry: ", way)
					assert.True(t, publisher.IsPermanent(err))
					assert.Less(t, len(err.Error()), 5000, "the error does not repeat the value")
				}
				for _, enc := range encodings {
					_, err := enc.Encode(t.Context(), e, "ce_")
					require.ErrorContains(t, err, "Event."+field+" has a value that JSON cannot carry: ", enc)
					assert.True(t, publisher.IsPermanent(err))
				}
			}
		})
	}
}

func TestTimesAtTheEdgesComeBackEqual(t *testing.T) {
	for _, tm := range []time.Time{
		time.Unix(0, 0), time.Unix(0, 1000), time.Unix(0, -1000), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", -7200)),
	} {
		e := small("t-1", "")
		e.Timestamp = tm
		requireRoundTrip(t, e)
	}
	m := newManager()
	for _, tm := range []time.Time{
		time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), time.Unix(1<<40, 0), time.Unix(math.MaxInt64, 0),
	} {
		e := small("t-1", "")
		e.Timestamp = tm
		for way, start := range ways(m, &inbox{}) {
			err := start(t.Context(), e).Wait(t.Context())
			require.ErrorContains(t, err, "is outside the years 1 to 9999", way)
			assert.True(t, publisher.IsPermanent(err))
		}
	}
}

// In microseconds, such a time is the zero time, which a reader takes for no time.
func TestATimeThatIsNoTimeInMicrosecondsIsRefused(t *testing.T) {
	e := small("t-1", "")
	e.Timestamp = time.Time{}.Add(999 * time.Nanosecond)
	_, err := publish(t, publisher.Func(fail), e)
	assert.True(t, publisher.IsPermanent(err))
	_, err = json.Marshal(e)
	require.ErrorContains(t, err, "is no time in microseconds")
	for _, enc := range encodings {
		_, err := enc.Encode(t.Context(), e, "ce_")
		require.ErrorContains(t, err, "is no time in microseconds")
		assert.True(t, publisher.IsPermanent(err))
	}
}

func TestATraceStateAloneIsNotSent(t *testing.T) {
	e := small("t-1", "")
	e.TraceState = "vendor=1"
	for _, enc := range encodings {
		m, err := enc.Encode(t.Context(), e, "")
		require.NoError(t, err)
		assert.NotContains(t, m.Header, "tracestate")
		got, err := publisher.Decode(m)
		require.NoError(t, err)
		assert.Empty(t, got.TraceState)
	}
}

func TestAnUnknownEncodingIsRefused(t *testing.T) {
	_, err := publisher.Encoding(9).Encode(t.Context(), small("t-1", ""), "ce_")
	require.EqualError(t, err, "publisher: Encoding(9) is unknown")
	assert.True(t, publisher.IsPermanent(err))
}

// The largest numbers of the event itself are read in full.
func TestSequenceComesBackInFull(t *testing.T) {
	e := small("t-1", "")
	e.Sequence = math.MaxUint64
	requireRoundTrip(t, e)
}

func TestEncodeRefusesWhatDecodeDoesNotTakeForAnEvent(t *testing.T) {
	for _, enc := range encodings {
		_, err := enc.Encode(t.Context(), publisher.Event{ThreadID: "t-1"}, "ce_")
		require.EqualError(t, err, "publisher: the event has no kind and no type: set Event.Kind and Event.Type")
		assert.True(t, publisher.IsPermanent(err))
	}
}

// requireRoundTrip requires that all encodings accept the event and read it back equal, with and
// without the headers.
func requireRoundTrip(t *testing.T, e publisher.Event) {
	t.Helper()
	for _, enc := range encodings {
		m, err := enc.Encode(context.Background(), e, "ce_")
		require.NoError(t, err, "%s: %s", enc, e.Content)
		requireSame(t, e, m)
		m.Header = nil
		requireSame(t, e, m)
	}
}

func requireSame(t *testing.T, e publisher.Event, m publisher.Message) {
	t.Helper()
	got, err := publisher.Decode(m)
	require.NoError(t, err)
	if e.ID != "" {
		require.Equal(t, repaired(e.ID), got.ID)
	}
	if !e.Timestamp.IsZero() {
		require.Equal(t, e.Timestamp.UTC().Truncate(time.Microsecond), got.Timestamp)
	}
	texts := func(e publisher.Event) []string {
		return []string{string(e.Kind), string(e.Type), e.Content, e.NodeName, e.RunID, e.ThreadID, e.UserID, e.TraceParent, e.TraceState}
	}
	for i, want := range texts(e) {
		require.Equal(t, repaired(want), texts(got)[i])
	}
	require.Equal(t, e.Sequence, got.Sequence)
	require.Equal(t, e.IsError, got.IsError)
	require.Len(t, got.ContentType, len(e.ContentType))
	for i, c := range e.ContentType {
		require.Equal(t, repaired(string(c)), string(got.ContentType[i]))
	}
	requireSameJSON(t, orNone(e.Data), orNone(got.Data))
	requireSameJSON(t, orNone(e.Metadata), orNone(got.Metadata))
	requireSameJSON(t, e.ContentBlocks, got.ContentBlocks)
}

func orNone(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// repaired returns s with each byte of invalid UTF-8 replaced.
func repaired(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// FuzzRoundTrip sends events with any text and any JSON in all encodings. An event is either refused
// by Encode, for good, or read back equal. Handed on, the decoded event is accepted again.
func FuzzRoundTrip(f *testing.F) {
	carried, changed := oddValues()
	for _, values := range []map[string]any{carried, changed} {
		for name, v := range values {
			if raw, err := json.Marshal(v); err == nil && len(raw) < 1000 { // the tests above have the long ones
				f.Add(name, raw, int64(0), uint64(0), 0.5)
			}
		}
	}
	f.Add("a\xff\r\n\x00", []byte(`[1e5,"\ud800",{"":null}]`), int64(253_402_300_799_999_999), uint64(math.MaxUint64), math.MaxFloat64)
	f.Add("run:1", []byte("{\"a\xff\":1,\"a\xfe\":2}"), int64(-62_135_596_800_000_000), uint64(1<<63), 5e-324)
	f.Fuzz(func(t *testing.T, s string, raw []byte, micros int64, n uint64, x float64) {
		e := publisher.Event{
			ID: s, Sequence: n, Kind: publisher.Kind(s), Type: "t", Content: s, NodeName: s, RunID: s, ThreadID: s, UserID: s,
			ContentType: []publisher.ContentType{publisher.ContentType(s)}, Timestamp: time.UnixMicro(micros), IsError: n%2 == 0,
			Data:     map[string]any{s: json.RawMessage(raw), "n": n, "i": micros, "x": x, "N": json.Number(s)},
			Metadata: map[string]any{"list": []any{s, n, []string{s}}}, ContentBlocks: []map[string]any{{s: x}, nil, {}},
			TraceParent: "x" + s, TraceState: s,
		}
		switch n % 4 { // leave some of the values out, so that one that is refused does not hide the others
		case 1:
			delete(e.Data, "N")
		case 2:
			delete(e.Data, "N")
			delete(e.Data, "i")
		case 3:
			delete(e.Data, s)
		}
		for _, enc := range encodings {
			m, err := enc.Encode(context.Background(), e, "ce_")
			atCall := publisher.Multi().Publish(context.Background(), e) // copies the event as Go does
			if err != nil {
				require.True(t, publisher.IsPermanent(err))
				require.Error(t, atCall, "refused only when it is encoded: %v", err)
				continue
			}
			require.NoError(t, atCall)
			requireSame(t, e, m)
			got, err := publisher.Decode(m)
			require.NoError(t, err)
			_, err = enc.Encode(context.Background(), got, "ce_")
			require.NoError(t, err, "handed on")
		}
	})
}
