package publisher_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

// The fields of Agentflow's EventModel must all be there.
func TestPlainJSONOfTheSmallestEventHasAllOfAgentflowsFields(t *testing.T) {
	e := publisher.Event{Kind: publisher.KindStreaming, Type: publisher.TypeUpdate, Timestamp: time.Unix(1_700_000_000, 0)}
	assert.Equal(t, `{"event":"streaming","event_type":"update","content":"","content_blocks":null,"data":{},`+
		`"content_type":null,"node_name":"","run_id":"","thread_id":"","timestamp":1700000000.000000,`+
		`"is_error":false,"metadata":{}}`, toJSON(t, e))
}

func TestPlainJSONOfAFullEvent(t *testing.T) {
	assert.Equal(t, `{"id":"0192d7a0-0000-7000-8000-000000000001","sequence":7,`+
		`"event":"tool_execution","event_type":"result","content":"42 files",`+
		`"content_blocks":[{"text":"42 files","type":"text"}],"data":{"files":42,"list":["a",null,true]},`+
		`"content_type":["text","tool_result"],"node_name":"search","run_id":"r-1","thread_id":"t-1","user_id":"u-1",`+
		`"timestamp":1700000000.123456,"is_error":true,"metadata":{"is_stream":false},`+
		`"traceparent":"00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01","tracestate":"vendor=1"}`,
		toJSON(t, full()))
}

func TestAFullEventComesBackAsItWas(t *testing.T) {
	var got publisher.Event
	require.NoError(t, json.Unmarshal([]byte(toJSON(t, full())), &got))
	assert.Equal(t, full(), got)
}

// A new field that the JSON forgets fails here.
func TestFullEventIsFull(t *testing.T) {
	v := reflect.ValueOf(full())
	for i := range v.NumField() {
		assert.False(t, v.Field(i).IsZero(), v.Type().Field(i).Name)
	}
}

// This is the output of json.dumps(event.model_dump()) in Python, for
// EventModel(event="node_execution", event_type="start", …).
func TestWhatAgentflowWritesIsRead(t *testing.T) {
	var got publisher.Event
	require.NoError(t, json.Unmarshal([]byte(`{"event": "node_execution", "event_type": "start", "content": "",
		"content_blocks": null, "delta": false, "data": {"n": 1}, "content_type": ["text"], "node_name": "MAIN",
		"run_id": "0b1e", "thread_id": 17, "timestamp": 1762950000.123456, "is_error": false,
		"metadata": {"user_id": null}, "user_id": 4}`), &got))
	assert.Equal(t, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeStart, Data: map[string]any{"n": 1.0},
		ContentType: []publisher.ContentType{publisher.ContentText}, NodeName: "MAIN", RunID: "0b1e", ThreadID: "17", UserID: "4",
		Timestamp: time.Unix(1_762_950_000, 123_456_000).UTC(), Metadata: map[string]any{"user_id": nil},
	}, got)
}

func TestIDsThatAreNumbersBecomeTheirDigits(t *testing.T) {
	for in, want := range map[string]string{
		`17`: "17", `0`: "0", `-3`: "-3", `1.50`: "1.50", `1e3`: "1e3", `12345678901234567890`: "12345678901234567890",
		`"17"`: "17", `""`: "", `null`: "", `"a b"`: "a b",
	} {
		var e publisher.Event
		require.NoError(t, json.Unmarshal([]byte(`{"run_id":`+in+`,"thread_id":`+in+`,"user_id":`+in+`}`), &e), in)
		assert.Equal(t, [3]string{want, want, want}, [3]string{e.RunID, e.ThreadID, e.UserID}, in)
	}
}

func TestWhatIsNotAnEventIsSaidInPlainWords(t *testing.T) {
	for _, in := range []string{
		`[]`, `"x"`, `7`, `{"thread_id":true}`, `{"run_id":{}}`, `{"user_id":[1]}`, `{"timestamp":"now"}`,
		`{"data":[]}`, `{"content_blocks":{}}`, `{"content_type":"text"}`, `{"sequence":-1}`, `{"is_error":"no"}`,
	} {
		e := publisher.Event{Content: "is still here"}
		err := json.Unmarshal([]byte(in), &e)
		require.ErrorContains(t, err, "publisher: not an event: ", in)
		assert.Equal(t, publisher.Event{Content: "is still here"}, e, in)
	}
}

func TestTimestampsAreSecondsSince1970(t *testing.T) {
	for _, tc := range []struct {
		time time.Time
		want string
	}{
		{time.Time{}, "null"},
		{time.Unix(0, 0), "0.000000"},
		{time.Unix(0, 1000), "0.000001"},
		{time.Unix(1, 999_999_000), "1.999999"},
		{time.Unix(1, 999_999_999), "1.999999"}, // truncated, not rounded
		{time.Unix(1_700_000_000, 5_000), "1700000000.000005"},
		{time.Unix(-1, 0), "-1.000000"},
		{time.Unix(-1, 500_000_000), "-0.500000"},
		{time.Unix(0, -1000), "-0.000001"},
		{time.Date(1969, 7, 20, 20, 17, 40, 250_000_000, time.UTC), "-14182939.750000"},
		{time.Date(2023, 11, 14, 23, 13, 20, 0, time.FixedZone("", 3600)), "1700000000.000000"},
	} {
		e := publisher.Event{Timestamp: tc.time}
		assert.Contains(t, toJSON(t, e), `"timestamp":`+tc.want+`,`)
	}
}

func TestTimestampsComeBackToTheMicrosecond(t *testing.T) {
	for _, micros := range []int64{
		1, -1, 999_999, -999_999, 1_000_000, -1_500_000, 1_700_000_000_123_456, 1_762_950_000_999_999,
		-2_208_988_800_000_001, 4_102_444_800_654_321,
	} {
		want := time.UnixMicro(micros).UTC()
		var got publisher.Event
		require.NoError(t, json.Unmarshal([]byte(toJSON(t, publisher.Event{Timestamp: want})), &got))
		assert.Equal(t, want, got.Timestamp)
	}
}

func TestTimestampsThatAreNullOrMissingAreNone(t *testing.T) {
	for _, in := range []string{`{}`, `{"timestamp":null}`} {
		var e publisher.Event
		require.NoError(t, json.Unmarshal([]byte(in), &e))
		assert.True(t, e.Timestamp.IsZero(), in)
	}
}

// 1970-01-01 is a time. It used to be read as none, and became now when the event was handed on.
func TestTimestampOf0Is1970(t *testing.T) {
	for _, in := range []string{`{"timestamp":0}`, `{"timestamp":0.0}`, `{"timestamp":-0}`, `{"timestamp":0e3}`, `{"timestamp":0.0000001}`} {
		var e publisher.Event
		require.NoError(t, json.Unmarshal([]byte(in), &e))
		assert.Equal(t, time.Unix(0, 0).UTC(), e.Timestamp, in)
	}
}

// A float64 counts in steps of 30 microseconds there.
func TestTimestampsAtTheEdgesComeBackToTheMicrosecond(t *testing.T) {
	for _, want := range []time.Time{
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_998_000, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(1, 1, 1, 23, 59, 59, 999_999_000, time.UTC),
	} {
		var got publisher.Event
		require.NoError(t, json.Unmarshal([]byte(toJSON(t, publisher.Event{Timestamp: want})), &got))
		assert.Equal(t, want, got.Timestamp)
	}
}

func TestTimestampsAreRoundedToTheMicrosecond(t *testing.T) {
	for in, micros := range map[string]int64{
		"1.0000004": 1_000_000, "1.0000005": 1_000_001, "-1.0000005": -1_000_001, "1.762950000123456e9": 1_762_950_000_123_456,
		"1": 1_000_000, "1.5": 1_500_000, "15e-1": 1_500_000, "0.9999999": 1_000_000,
	} {
		var e publisher.Event
		require.NoError(t, json.Unmarshal([]byte(`{"timestamp":`+in+`}`), &e), in)
		assert.Equal(t, time.UnixMicro(micros).UTC(), e.Timestamp, in)
	}
	require.Error(t, json.Unmarshal([]byte(`{"timestamp":253402300799.9999999}`), new(publisher.Event)), "the year 10000")
}

func TestInvalidUTF8IsReplaced(t *testing.T) {
	raw := toJSON(t, publisher.Event{Content: "caf\xe9", Data: map[string]any{"k\xff": "v\xff"}})
	assert.True(t, utf8.ValidString(raw), "%q", raw)
	var got publisher.Event
	require.NoError(t, json.Unmarshal([]byte(raw), &got))
	assert.Equal(t, "caf\ufffd", got.Content)
	assert.Equal(t, map[string]any{"k\ufffd": "v\ufffd"}, got.Data)
}

func TestDataThatIsNotJSONFailsToMarshal(t *testing.T) {
	_, err := json.Marshal(publisher.Event{Data: map[string]any{"x": math.Inf(1)}})
	var unsupported *json.UnsupportedValueError
	require.ErrorAs(t, err, &unsupported)
}

// JSON that was written from an event reads back as the same event.
func FuzzEventJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"timestamp":-0.5}`, `{"thread_id":1e400,"data":{"a":[{}]}}`, `{"content":"\ud800"}`,
		`{"content_blocks":[null,{}],"content_type":[],"sequence":18446744073709551615}`,
		`{"timestamp":1700000000.123456,"traceparent":"x","metadata":null}`,
		`{"timestamp":253402300799.999999}`, `{"Event":"a","EVENT_TYPE":"b"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var first, second publisher.Event
		if json.Unmarshal(in, &first) != nil {
			t.Skip("not an event")
		}
		out := toJSON(t, first)
		require.NoError(t, json.Unmarshal([]byte(out), &second))
		require.Equal(t, out, toJSON(t, second))
	})
}

// FuzzEventText starts from the other side, with an event that has text in all fields.
func FuzzEventText(f *testing.F) {
	f.Add("", int64(0), uint64(0), false)
	f.Add("line\r\n\x00\u2028<&>\"", int64(-1), uint64(math.MaxUint64), true)
	f.Add("caf\xe9", int64(1_700_000_000_123_456), uint64(1), false)
	f.Fuzz(func(t *testing.T, s string, micros int64, n uint64, isError bool) {
		micros %= 253_402_300_800_000_000 // up to the year 9999
		if micros < -62_135_596_800_000_000 {
			t.Skip("before the year 1")
		}
		sent := publisher.Event{
			ID: s, Sequence: n, Kind: publisher.Kind(s), Type: publisher.Type(s), Content: s,
			ContentBlocks: []map[string]any{{s: s}}, ContentType: []publisher.ContentType{publisher.ContentType(s)},
			Data: map[string]any{s: []any{s}}, Metadata: map[string]any{s: nil},
			NodeName: s, RunID: s, ThreadID: s, UserID: s, Timestamp: time.UnixMicro(micros).UTC(), IsError: isError,
			TraceParent: s, TraceState: s,
		}
		var got publisher.Event
		require.NoError(t, json.Unmarshal([]byte(toJSON(t, sent)), &got))
		valid := strings.ToValidUTF8(s, "\ufffd")
		if valid == s {
			require.Equal(t, sent, got)
		}
		require.Equal(t, n, got.Sequence)
	})
}
