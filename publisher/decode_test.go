package publisher_test

import (
	"context"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	for _, enc := range encodings {
		t.Run(enc.String(), func(t *testing.T) {
			m := encode(t, enc, context.Background(), full())
			got, err := publisher.Decode(m)
			require.NoError(t, err)
			assert.Equal(t, full(), got)
		})
	}
}

// A message of Redis Pub/Sub, for example, has no headers.
func TestDecodeNeedsNoHeaders(t *testing.T) {
	for _, enc := range encodings {
		t.Run(enc.String(), func(t *testing.T) {
			got, err := publisher.Decode(publisher.Message{Body: encode(t, enc, context.Background(), full()).Body})
			require.NoError(t, err)
			assert.Equal(t, full(), got)
		})
	}
}

func TestDecodeGoesByTheContentType(t *testing.T) {
	envelope := encode(t, publisher.Structured, context.Background(), full()).Body
	plain := encode(t, publisher.Plain, context.Background(), full()).Body
	for _, tc := range []struct {
		contentType string
		body        []byte
	}{
		{"application/cloudevents+json", envelope},
		{"application/cloudevents+json; charset=UTF-8", envelope},
		{"Application/CloudEvents+JSON;charset=utf-8", envelope},
		{"application/cloudevents", envelope},
		{"", envelope},
		{"", plain},
		{"application/json", plain},
		{"application/json; charset=utf-8", plain},
		{"text/plain", plain},
		{"junk; charset=", plain},
	} {
		got, err := publisher.Decode(publisher.Message{Header: map[string]string{"content-type": tc.contentType}, Body: tc.body})
		require.NoError(t, err, tc.contentType)
		assert.Equal(t, full(), got, tc.contentType)
	}
}

// An event that was written by Agentflow has no trace, but its sender may have put one into the
// headers.
func TestDecodeTakesATraceFromTheHeadersWhereTheEventHasNone(t *testing.T) {
	body := []byte(`{"event":"streaming","event_type":"update"}`)
	header := map[string]string{"traceparent": parent(span(t, 2)), "tracestate": "vendor=2"}
	got, err := publisher.Decode(publisher.Message{Header: header, Body: body})
	require.NoError(t, err)
	assert.True(t, got.SpanContext().Equal(span(t, 2).WithRemote(true)))

	// The trace state of the headers is not combined with the trace parent of the event.
	body = []byte(`{"event":"streaming","event_type":"update","traceparent":"` + parent(span(t, 1)) + `"}`)
	got, err = publisher.Decode(publisher.Message{Header: header, Body: body})
	require.NoError(t, err)
	assert.Equal(t, parent(span(t, 1)), got.TraceParent)
	assert.Empty(t, got.TraceState)
}

func TestDecodePrefersAValidTraceOfTheHeadersToAnInvalidOneOfTheEvent(t *testing.T) {
	body := []byte(`{"event":"k","event_type":"t","traceparent":"junk","tracestate":"a=b"}`)
	header := map[string]string{"traceparent": parent(span(t, 2)), "tracestate": "vendor=2"}
	got, err := publisher.Decode(publisher.Message{Header: header, Body: body})
	require.NoError(t, err)
	assert.True(t, got.SpanContext().Equal(span(t, 2).WithRemote(true)))
	assert.Equal(t, "vendor=2", got.TraceState)

	got, err = publisher.Decode(publisher.Message{Header: map[string]string{"traceparent": "rubbish"}, Body: body})
	require.NoError(t, err)
	assert.Equal(t, "junk", got.TraceParent, "the event's own, since neither is valid")
	assert.Equal(t, "a=b", got.TraceState)
}

func TestDecodeSaysInPlainWordsWhatItIsNot(t *testing.T) {
	const nothing = "publisher: not an event: it has neither event nor event_type"
	cloud := map[string]string{"content-type": "application/cloudevents+json"}
	for name, tc := range map[string]struct {
		header map[string]string
		body   string
		want   string
	}{
		"not a CloudEvent":          {cloud, `[1]`, "publisher: not a CloudEvent in JSON: "},
		"not JSON, by the header":   {cloud, `<xml/>`, "publisher: not a CloudEvent in JSON: "},
		"a batch":                   {map[string]string{"content-type": "application/cloudevents-batch+json"}, `[{}]`, "publisher: not a CloudEvent in JSON: "},
		"an event of another shape": {nil, `{"event":7}`, "publisher: not an event: "},
		"data of another shape":     {nil, `{"specversion":"1.0","data":{"event":7}}`, "publisher: not an event: "},
		"nothing":                   {nil, ``, "publisher: not an event: "},
		"not JSON":                  {nil, `<xml/>`, "publisher: not an event: "},
		"null":                      {nil, `null`, nothing},
		"an empty object":           {nil, `{}`, nothing},
		"JSON of somebody else":     {nil, `{"level":"info","msg":"hi"}`, nothing},
		"a CloudEvent of theirs":    {nil, `{"specversion":"1.0","data":{"a":1}}`, nothing},
		"a CloudEvent without data": {nil, `{"specversion":"1.0"}`, "publisher: not an event: "},
		"data that is text":         {nil, `{"specversion":"1.0","data":"hello"}`, "publisher: not an event: "},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := publisher.Decode(publisher.Message{Header: tc.header, Body: []byte(tc.body)})
			require.ErrorContains(t, err, tc.want)
			assert.True(t, publisher.IsPermanent(err))
			assert.Zero(t, e)
		})
	}
}

// Structured has JSON in data. Other producers may use data_base64: the specification allows both.
func TestDecodeReadsDataInBase64(t *testing.T) {
	body := `{"specversion":"1.0","data_base64":"` + base64.StdEncoding.EncodeToString([]byte(toJSON(t, full()))) + `"}`
	got, err := publisher.Decode(publisher.Message{Body: []byte(body)})
	require.NoError(t, err)
	assert.Equal(t, full(), got)
}

// Decode must not panic on any input.
func FuzzDecode(f *testing.F) {
	for _, enc := range encodings {
		m, err := enc.Encode(context.Background(), full(), "ce_")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.Header["content-type"], m.Header["traceparent"], m.Body)
	}
	f.Add("application/cloudevents+json", "junk", []byte(`{"specversion":"1.0"}`))
	f.Add("", "", []byte(`null`))
	f.Add("a/b; c", "\x00", []byte(`[]`))
	f.Fuzz(func(t *testing.T, contentType, traceParent string, body []byte) {
		header := map[string]string{"content-type": contentType, "traceparent": traceParent}
		e, err := publisher.Decode(publisher.Message{Header: header, Body: body})
		if err != nil {
			require.Zero(t, e)
			return
		}
		e.SpanContext()
	})
}
