package brokertest

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
)

// prefixes are the prefixes of CloudEvents attributes in Kafka (and redispub), NATS, and AMQP.
var prefixes = []string{"ce_", "ce-", "cloudEvents_"}

// binaryMessage lets the CloudEvents SDK read a Binary message as the SDK's own bindings read
// theirs.
type binaryMessage struct {
	publisher.Message
	prefix string
}

func (binaryMessage) ReadEncoding() binding.Encoding { return binding.EncodingBinary }

func (binaryMessage) ReadStructured(context.Context, binding.StructuredWriter) error {
	return binding.ErrNotStructured
}

func (m binaryMessage) ReadBinary(_ context.Context, w binding.BinaryWriter) error {
	for header, value := range m.Header {
		if err := m.setHeader(w, header, value); err != nil {
			return err
		}
	}
	return w.SetData(bytes.NewReader(m.Body))
}

func (m binaryMessage) GetAttribute(kind spec.Kind) (spec.Attribute, any) {
	attribute := spec.V1.AttributeFromKind(kind)
	return attribute, m.Header[m.prefix+attribute.Name()]
}

func (m binaryMessage) GetExtension(name string) any { return m.Header[m.prefix+name] }

func (m binaryMessage) setHeader(w binding.BinaryWriter, header, value string) error {
	if header == "content-type" {
		return w.SetAttribute(spec.V1.AttributeFromKind(spec.DataContentType), value)
	}
	name, ours := strings.CutPrefix(header, m.prefix)
	if !ours {
		return nil // not an attribute: the trace context of the sender, for example
	}
	if attribute := spec.V1.Attribute(name); attribute != nil {
		return w.SetAttribute(attribute, value)
	}
	return w.SetExtension(name, value)
}

// structured encodes the event with Structured and decodes it with the SDK.
func structured(t *testing.T, e publisher.Event) event.Event {
	t.Helper()
	m, err := publisher.Structured.Encode(t.Context(), e, "")
	require.NoError(t, err)
	var c event.Event
	require.NoError(t, format.JSON.Unmarshal(m.Body, &c), "%s", m.Body)
	require.NoError(t, c.Validate(), "%s", m.Body)
	return c
}

// binary encodes the event with Binary and decodes it with the SDK.
func binary(t *testing.T, e publisher.Event, prefix string) event.Event {
	t.Helper()
	m, err := publisher.Binary.Encode(t.Context(), e, prefix)
	require.NoError(t, err)
	c, err := binding.ToEvent(t.Context(), binaryMessage{m, prefix})
	require.NoError(t, err)
	require.NoError(t, c.Validate(), "%v", m.Header)
	return *c
}

// whole is an event with all fields that become attributes.
var whole = publisher.Event{
	ID: "0192d7a0-0000-7000-8000-000000000001", Sequence: 7,
	Kind: publisher.KindToolExecution, Type: publisher.TypeResult, Content: "42 files",
	Data:     map[string]any{"files": 42},
	NodeName: "search files/all", RunID: "run-1", ThreadID: "thread-1",
	Timestamp:   time.UnixMicro(1_800_000_000_123_456).UTC(),
	TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: "vendor=1",
}

func TestCloudEventHasEveryAttribute(t *testing.T) {
	c := structured(t, whole)
	require.Equal(t, "1.0", c.SpecVersion())
	require.Equal(t, whole.ID, c.ID())
	require.Equal(t, "afterspan/search%20files%2Fall", c.Source())
	require.Equal(t, "afterspan.tool_execution.result", c.Type())
	require.Equal(t, "thread-1", c.Subject())
	require.True(t, whole.Timestamp.Equal(c.Time()), "%v", c.Time())
	require.Equal(t, "application/json", c.DataContentType())
	require.Equal(t, map[string]any{
		"partitionkey": "thread-1", "keysequence": "00000000000000000007",
		"traceparent": whole.TraceParent, "tracestate": whole.TraceState,
	}, c.Extensions())
	require.NotContains(t, c.Extensions(), "sequence", "the specification's extension of that name has another meaning")

	plain, err := json.Marshal(whole)
	require.NoError(t, err)
	require.JSONEq(t, string(plain), string(c.Data()))
	var data map[string]any
	require.NoError(t, c.DataAs(&data))
	require.Equal(t, "42 files", data["content"])
}

func TestCloudEventLeavesOutWhatIsEmpty(t *testing.T) {
	c := structured(t, publisher.Event{Kind: publisher.KindStreaming, Type: publisher.TypeUpdate})
	require.NotEmpty(t, c.ID())
	require.Equal(t, "afterspan", c.Source())
	require.Empty(t, c.Subject())
	require.Empty(t, c.Extensions())
	require.WithinDuration(t, time.Now(), c.Time(), time.Minute)
}

// The attributes have the trace of the origin, and the headers that of the sender, as the
// CloudEvents extension for tracing requires.
func TestCloudEventCarriesTheTraceOfTheOriginAndHeadersThatOfTheHop(t *testing.T) {
	hop := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{9}, SpanID: trace.SpanID{9}, TraceFlags: trace.FlagsSampled})
	m, err := publisher.Binary.Encode(trace.ContextWithSpanContext(t.Context(), hop), whole, "ce_")
	require.NoError(t, err)
	require.Equal(t, whole.TraceParent, m.Header["ce_traceparent"])
	require.Contains(t, m.Header["traceparent"], hop.TraceID().String())
}

// odd has texts that are allowed in events, but not in CloudEvents attributes, URLs or headers.
var odd = map[string]string{
	"control characters": "line\r\nbreak\ttab\x00nul\x7fdel\u0085nel",
	"noncharacters":      "a\ufdd0b\uffffc\U0001fffed",
	"invalid UTF-8":      "caf\xe9 \xff",
	"a surrogate":        "a\xed\xa0\x80b",
	"very long":          strings.Repeat("0123456789abcdef", 1_000),
	"spaces":             " plan the  next step ",
	"URL":                "https://u:p@host/a b?c=d&e#f%zz../..",
	"quotes":             `"a" 'b' \ <c> {d}`,
	"emoji":              "🛰 ünïcödé \u2028 \u202e",
	"colon first":        ":a:b",
	"a dot":              ".",
}

func TestCloudEventIsValidWhateverTheEventSays(t *testing.T) {
	for name, text := range odd {
		t.Run(name, func(t *testing.T) {
			e := whole
			e.ID, e.Kind, e.Type = text, publisher.Kind(text), publisher.Type(text)
			e.NodeName, e.RunID, e.ThreadID, e.TraceParent, e.TraceState = text, text, text, text, text
			requireTextOfAttributes(t, structured(t, e))
			requireRoundTrip(t, e)
		})
	}
	for name, e := range map[string]publisher.Event{
		"no thread": {Kind: publisher.KindStreaming, Type: publisher.TypeUpdate, RunID: "run-1", Timestamp: whole.Timestamp, ID: "1"},
		"no key":    {Kind: publisher.KindStreaming, Type: publisher.TypeUpdate, Timestamp: whole.Timestamp, ID: "1"},
		"no type":   {Kind: publisher.KindStreaming, Timestamp: whole.Timestamp, ID: "1"},
		"1969":      {Kind: publisher.KindStreaming, Type: publisher.TypeUpdate, Timestamp: time.UnixMicro(-1_500_000), ID: "1"},
	} {
		t.Run(name, func(t *testing.T) { requireRoundTrip(t, e) })
	}
}

// requireTextOfAttributes requires that names and values follow the specification. The SDK does not
// check that.
func requireTextOfAttributes(t *testing.T, c event.Event) {
	t.Helper()
	values := []string{c.ID(), c.Source(), c.Type(), c.Subject()}
	for name, value := range c.Extensions() {
		require.Regexp(t, "^[a-z0-9]{1,20}$", name)
		values = append(values, value.(string))
	}
	for _, value := range values {
		require.True(t, utf8.ValidString(value), "%q", value)
		require.False(t, strings.ContainsFunc(value, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Noncharacter_Code_Point, r)
		}), "%q", value)
	}
}

// requireRoundTrip requires that the SDK reads the same event from Binary and from Structured, and
// that Decode returns the event from all three encodings.
func requireRoundTrip(t *testing.T, e publisher.Event) {
	t.Helper()
	want := structured(t, e)
	want.SetID(want.ID()) // trims spaces, as the SDK does with headers
	want.SetType(want.Type())
	want.SetSubject(want.Subject())
	for _, prefix := range prefixes {
		got := binary(t, e, prefix)
		require.Equal(t, want.Context, got.Context, "the attributes with %q", prefix)
		require.Equal(t, string(want.Data()), string(got.Data()), "the data with %q", prefix)
	}
	for _, encoding := range []publisher.Encoding{publisher.Structured, publisher.Binary, publisher.Plain} {
		m, err := encoding.Encode(t.Context(), e, "ce_")
		require.NoError(t, err)
		got, err := publisher.Decode(m)
		require.NoError(t, err)
		requireSameJSON(t, e, got, encoding)
		m.Header = nil // Redis Pub/Sub has no headers
		got, err = publisher.Decode(m)
		require.NoError(t, err)
		requireSameJSON(t, e, got, encoding)
	}
}

// requireSameJSON compares two events by their JSON, in which invalid UTF-8 is replaced.
func requireSameJSON(t *testing.T, want, got publisher.Event, encoding publisher.Encoding) {
	t.Helper()
	wantJSON, err := json.Marshal(want)
	require.NoError(t, err)
	gotJSON, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wantJSON), string(gotJSON), "in %v", encoding)
}

// made returns a CloudEvent that the SDK has encoded, with our plain event as its data.
func made(t *testing.T, change func(*event.Event)) publisher.Message {
	t.Helper()
	c := event.New()
	c.SetID("1")
	c.SetSource("https://example.com/agent")
	c.SetType("com.example.something")
	require.NoError(t, c.SetData("application/json", whole))
	change(&c)
	body, err := format.JSON.Marshal(&c)
	require.NoError(t, err)
	return publisher.Message{Header: map[string]string{"content-type": format.JSON.MediaType()}, Body: body}
}

func TestDecodeReadsCloudEventsOfTheSDK(t *testing.T) {
	for name, change := range map[string]func(*event.Event){
		"data":                   func(*event.Event) {},
		"data_base64":            func(c *event.Event) { c.DataBase64 = true },
		"with extensions":        func(c *event.Event) { c.SetExtension("comexampleother", 42) },
		"without a content type": func(c *event.Event) { c.Context.(*event.EventContextV1).DataContentType = nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := made(t, change)
			got, err := publisher.Decode(m)
			require.NoError(t, err, "%s", m.Body)
			requireSameJSON(t, whole, got, publisher.Structured)
			m.Header = nil
			got, err = publisher.Decode(m)
			require.NoError(t, err, "%s", m.Body)
			requireSameJSON(t, whole, got, publisher.Structured)
		})
	}
}

func TestDecodeSaysWhatIsWrongWithOtherCloudEvents(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*event.Event)
		want   string
	}{
		"other data": {
			func(c *event.Event) { require.NoError(t, c.SetData("application/json", map[string]any{"order": 1})) },
			"publisher: not an event: it has neither event nor event_type",
		},
		"text": {
			func(c *event.Event) { require.NoError(t, c.SetData("text/plain", "hello")) },
			"publisher: not an event: ",
		},
		"no data": {
			func(c *event.Event) { c.DataEncoded = nil },
			"publisher: not an event: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := publisher.Decode(made(t, test.change))
			require.ErrorContains(t, err, test.want)
		})
	}
	for name, m := range map[string]publisher.Message{
		"broken":      {Body: []byte(`{"specversion":"1.0"`)},
		"bad base64":  {Body: []byte(`{"specversion":"1.0","data_base64":"*"}`)},
		"null":        {Body: []byte(`null`)},
		"a batch":     {Header: map[string]string{"content-type": "application/cloudevents-batch+json"}, Body: []byte(`[]`)},
		"no bytes":    {},
		"not JSON":    {Body: []byte("hello")},
		"another one": {Body: []byte(`{"order":1}`)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := publisher.Decode(m)
			require.ErrorContains(t, err, "publisher: not a")
		})
	}
}

// The wire format is a promise to consumers: it must not change by chance.
func TestWireFormat(t *testing.T) {
	const plain = `{"id":"0192d7a0-0000-7000-8000-000000000001","sequence":7,"event":"tool_execution","event_type":"result",` +
		`"content":"42 files","content_blocks":null,"data":{"files":42},"content_type":null,"node_name":"search files/all",` +
		`"run_id":"run-1","thread_id":"thread-1","timestamp":1800000000.123456,"is_error":false,"metadata":{},` +
		`"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"vendor=1"}`
	const hop = " | traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 | tracestate: vendor=1"
	for encoding, want := range map[publisher.Encoding]string{
		publisher.Structured: `content-type: application/cloudevents+json; charset=UTF-8` + hop + ` | {"specversion":"1.0",` +
			`"id":"0192d7a0-0000-7000-8000-000000000001","source":"afterspan/search%20files%2Fall","type":"afterspan.tool_execution.result",` +
			`"subject":"thread-1","time":"2027-01-15T08:00:00.123456Z","datacontenttype":"application/json","partitionkey":"thread-1",` +
			`"keysequence":"00000000000000000007","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",` +
			`"tracestate":"vendor=1","data":` + plain + `}`,
		publisher.Binary: `ce_id: 0192d7a0-0000-7000-8000-000000000001 | ce_keysequence: 00000000000000000007 | ce_partitionkey: thread-1 | ` +
			`ce_source: afterspan/search%20files%2Fall | ce_specversion: 1.0 | ce_subject: thread-1 | ce_time: 2027-01-15T08:00:00.123456Z | ` +
			`ce_traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 | ce_tracestate: vendor=1 | ` +
			`ce_type: afterspan.tool_execution.result | content-type: application/json` + hop + ` | ` + plain,
		publisher.Plain: `content-type: application/json` + hop + ` | ` + plain,
	} {
		t.Run(encoding.String(), func(t *testing.T) {
			m, err := encoding.Encode(t.Context(), whole, "ce_")
			require.NoError(t, err)
			var parts []string
			for _, name := range slices.Sorted(maps.Keys(m.Header)) {
				parts = append(parts, name+": "+m.Header[name])
			}
			require.Equal(t, want, strings.Join(append(parts, string(m.Body)), " | "))
		})
	}
}

func FuzzCloudEventsRoundTrip(f *testing.F) {
	for _, text := range odd {
		f.Add(text, text, text, text, text, text, text, text)
	}
	f.Add("1", "streaming", "", "", "run-1", "hello", whole.TraceParent, whole.TraceState)
	f.Fuzz(func(t *testing.T, id, kind, node, thread, run, content, traceParent, traceState string) {
		e := publisher.Event{
			ID: id, Kind: publisher.Kind(kind), Type: publisher.TypeProgress, NodeName: node, ThreadID: thread, RunID: run,
			Content: content, Data: map[string]any{content: content}, Timestamp: whole.Timestamp, TraceParent: traceParent, TraceState: traceState,
		}
		if traceParent == "" {
			e.TraceState = "" // Encode drops it, since it means nothing alone
		}
		// The specification does not treat a string of spaces as empty, but the SDK does.
		if strings.TrimSpace(id) == "" || thread != "" && strings.TrimSpace(thread) == "" {
			t.Skip()
		}
		requireTextOfAttributes(t, structured(t, e))
		requireRoundTrip(t, e)
	})
}
