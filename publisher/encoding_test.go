package publisher_test

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
)

// These tests show the encoded messages. decode_test.go shows how they are read.

var encodings = []publisher.Encoding{publisher.Structured, publisher.Binary, publisher.Plain}

func encode(t *testing.T, enc publisher.Encoding, ctx context.Context, e publisher.Event) publisher.Message {
	t.Helper()
	if e.Kind == "" && e.Type == "" {
		e.Kind, e.Type = "k", "t"
	}
	m, err := enc.Encode(ctx, e, "ce_")
	require.NoError(t, err)
	return m
}

func TestEncodingsHaveNames(t *testing.T) {
	assert.Equal(t, "structured", publisher.Structured.String())
	assert.Equal(t, "binary", publisher.Binary.String())
	assert.Equal(t, "plain", publisher.Plain.String())
	assert.Equal(t, "Encoding(7)", publisher.Encoding(7).String())
	assert.Equal(t, publisher.Structured, *new(publisher.Encoding), "the default")
}

const fullTrace = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"

func TestStructuredIsACloudEventInTheBody(t *testing.T) {
	m := encode(t, publisher.Structured, context.Background(), full())
	assert.Equal(t, `{"specversion":"1.0","id":"0192d7a0-0000-7000-8000-000000000001","source":"afterspan/search",`+
		`"type":"afterspan.tool_execution.result","subject":"t-1","time":"2023-11-14T22:13:20.123456Z",`+
		`"datacontenttype":"application/json","partitionkey":"t-1","keysequence":"00000000000000000007",`+
		`"traceparent":"`+fullTrace+`","tracestate":"vendor=1","data":`+toJSON(t, full())+`}`, string(m.Body))
	assert.Equal(t, map[string]string{
		"content-type": "application/cloudevents+json; charset=UTF-8", "traceparent": fullTrace, "tracestate": "vendor=1",
	}, m.Header)
}

func TestBinaryIsACloudEventInTheHeaders(t *testing.T) {
	m := encode(t, publisher.Binary, context.Background(), full())
	assert.Equal(t, toJSON(t, full()), string(m.Body))
	assert.Equal(t, map[string]string{
		"content-type": "application/json", "traceparent": fullTrace, "tracestate": "vendor=1",
		"ce_specversion": "1.0", "ce_id": "0192d7a0-0000-7000-8000-000000000001", "ce_source": "afterspan/search",
		"ce_type": "afterspan.tool_execution.result", "ce_subject": "t-1", "ce_time": "2023-11-14T22:13:20.123456Z",
		"ce_partitionkey": "t-1", "ce_keysequence": "00000000000000000007",
		"ce_traceparent": fullTrace, "ce_tracestate": "vendor=1",
	}, m.Header)
}

func TestPlainIsWhatAgentflowSends(t *testing.T) {
	m := encode(t, publisher.Plain, context.Background(), full())
	assert.Equal(t, toJSON(t, full()), string(m.Body))
	assert.Equal(t, map[string]string{
		"content-type": "application/json", "traceparent": fullTrace, "tracestate": "vendor=1",
	}, m.Header)
}

func TestMessageHasTheIDAndTheKeyOfTheEvent(t *testing.T) {
	for _, enc := range encodings {
		m := encode(t, enc, context.Background(), full())
		assert.Equal(t, full().ID, m.ID)
		assert.Equal(t, "t-1", m.Key)
		assert.Equal(t, "run:r-1", encode(t, enc, context.Background(), publisher.Event{RunID: "r-1"}).Key)
		m = encode(t, enc, context.Background(), publisher.Event{ID: "e-1"})
		assert.Equal(t, "e-1", m.ID)
		assert.Empty(t, m.Key)
	}
}

// An empty attribute is left out, since the specification forbids it.
func TestCloudEventOfTheSmallestEvent(t *testing.T) {
	e := publisher.Event{ID: "e-1", Kind: "k", Type: "t", Timestamp: time.Unix(0, 1000)}
	m := encode(t, publisher.Binary, context.Background(), e)
	assert.Equal(t, map[string]string{
		"content-type": "application/json", "ce_specversion": "1.0", "ce_id": "e-1", "ce_source": "afterspan",
		"ce_type": "afterspan.k.t", "ce_time": "1970-01-01T00:00:00.000001Z",
	}, m.Header)
	m = encode(t, publisher.Structured, context.Background(), e)
	assert.Equal(t, `{"specversion":"1.0","id":"e-1","source":"afterspan","type":"afterspan.k.t",`+
		`"time":"1970-01-01T00:00:00.000001Z","datacontenttype":"application/json","data":`+toJSON(t, e)+`}`, string(m.Body))
}

func TestCloudEventOfARunIsPartitionedByTheRun(t *testing.T) {
	m := encode(t, publisher.Binary, context.Background(), publisher.Event{RunID: "r-1"})
	assert.Equal(t, "run:r-1", m.Header["ce_partitionkey"])
	assert.NotContains(t, m.Header, "ce_subject")
}

// The source must be a URI reference.
func TestSourceEscapesTheNode(t *testing.T) {
	for node, want := range map[string]string{
		"a b": "afterspan/a%20b", "a/b": "afterspan/a%2Fb", "ü": "afterspan/%C3%BC", "\n": "afterspan/%0A", "a?b#c": "afterspan/a%3Fb%23c",
	} {
		m := encode(t, publisher.Binary, context.Background(), publisher.Event{NodeName: node})
		assert.Equal(t, want, m.Header["ce_source"])
	}
}

// The value of a header must not be able to start another header.
func TestAttributesHaveNoControlCharacters(t *testing.T) {
	odd := "a\r\nx: y\x00\x7f\u0085b\xff\ufffe\ufdd0"
	e := publisher.Event{ID: odd, Kind: publisher.Kind(odd), Type: publisher.Type(odd), ThreadID: odd, TraceParent: odd, TraceState: odd}
	m := encode(t, publisher.Binary, context.Background(), e)
	const want = "a\ufffd\ufffdx: y\ufffd\ufffd\ufffdb\ufffd\ufffd\ufffd"
	for _, name := range []string{"ce_id", "ce_subject", "ce_partitionkey", "ce_traceparent", "ce_tracestate"} {
		assert.Equal(t, want, m.Header[name], name)
	}
	assert.Equal(t, "afterspan."+want+"."+want, m.Header["ce_type"])

	got, err := publisher.Decode(m)
	require.NoError(t, err)
	assert.Equal(t, strings.ToValidUTF8(odd, "\ufffd"), got.ThreadID, "the data keeps them")
}

func TestKeySequenceSortsAsText(t *testing.T) {
	var last string
	for _, n := range []uint64{1, 2, 9, 10, 99, 1 << 40, 1<<64 - 1} {
		m := encode(t, publisher.Binary, context.Background(), publisher.Event{Sequence: n})
		got := m.Header["ce_keysequence"]
		assert.Len(t, got, 20)
		assert.Less(t, last, got)
		last = got
	}
}

func TestEncodeCompletesTheEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := trace.ContextWithSpanContext(context.Background(), span(t, 1))
		for _, enc := range encodings {
			m := encode(t, enc, ctx, publisher.Event{Kind: "k", Type: "t"})
			got, err := publisher.Decode(publisher.Message{Body: m.Body}) // without the headers
			require.NoError(t, err)
			assert.NotEmpty(t, m.ID)
			assert.Equal(t, m.ID, got.ID)
			assert.True(t, got.Timestamp.Equal(time.Now()))
			assert.True(t, got.SpanContext().Equal(span(t, 1).WithRemote(true)))
			assert.Zero(t, got.Sequence, "Encode does not number events")
		}
	})
}

// The event has the trace of its origin. The headers have the trace of its sender, such as a
// forwarder.
func TestHeadersHaveTheHopAndTheEventItsOrigin(t *testing.T) {
	hop := trace.ContextWithSpanContext(context.Background(), span(t, 2))
	origin := small("t-1", "")
	origin.TraceParent, origin.TraceState = parent(span(t, 1)), "vendor=1"
	stateless, junk := origin, origin
	stateless.TraceState = ""
	junk.TraceParent, junk.TraceState = "junk", ""
	none := map[string]string{}
	of := func(s trace.SpanContext) map[string]string {
		return map[string]string{"traceparent": parent(s), "tracestate": s.TraceState().String()}
	}
	for name, tc := range map[string]struct {
		ctx    context.Context
		event  publisher.Event
		header map[string]string
	}{
		"neither":                {context.Background(), small("t-1", ""), none},
		"a hop alone":            {hop, small("t-1", ""), of(span(t, 2))},
		"an origin alone":        {context.Background(), origin, of(span(t, 1))},
		"both":                   {hop, origin, of(span(t, 2))},
		"a hop without a state":  {trace.ContextWithSpanContext(hop, span(t, 2).WithTraceState(trace.TraceState{})), origin, map[string]string{"traceparent": parent(span(t, 2))}},
		"an origin without":      {hop, stateless, of(span(t, 2))},
		"an origin that is junk": {context.Background(), junk, none},
		"a hop and junk":         {hop, junk, of(span(t, 2))},
	} {
		for _, enc := range encodings {
			t.Run(name+", "+enc.String(), func(t *testing.T) {
				m := encode(t, enc, tc.ctx, tc.event)
				got := map[string]string{}
				for _, key := range []string{"traceparent", "tracestate"} {
					if value, ok := m.Header[key]; ok {
						got[key] = value
					}
				}
				assert.Equal(t, tc.header, got)
				if tc.event.TraceParent == "" {
					return
				}
				var envelope struct{ TraceParent, TraceState string }
				require.NoError(t, json.Unmarshal(m.Body, &envelope))
				assert.Equal(t, tc.event.TraceParent, envelope.TraceParent)
				assert.Equal(t, tc.event.TraceState, envelope.TraceState)
				if enc == publisher.Binary {
					assert.Equal(t, tc.event.TraceParent, m.Header["ce_traceparent"])
				}
			})
		}
	}
}

func TestEncodeSaysWhatCannotBeSent(t *testing.T) {
	for _, enc := range encodings {
		for name, value := range map[string]any{"a channel": make(chan int), "a panic": broken{}, "an error": broken{errBroker}} {
			t.Run(enc.String()+", "+name, func(t *testing.T) {
				e := small("t-1", "")
				e.ID, e.Data = "e-1", map[string]any{"x": value}
				m, err := enc.Encode(context.Background(), e, "")
				require.ErrorContains(t, err, "publisher: event e-1 cannot be sent: ")
				assert.Zero(t, m)
			})
		}
	}
}

func TestEncodeLeavesTheEventAlone(t *testing.T) {
	e := full()
	data := maps.Clone(e.Data)
	for _, enc := range encodings {
		encode(t, enc, context.Background(), e)
	}
	assert.Equal(t, full(), e)
	assert.Equal(t, data, e.Data)
}
