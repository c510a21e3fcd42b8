package brokertest

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
)

// kcat runs kcat and returns its output. kcat is built on librdkafka, and shares no code with
// franz-go.
func (k kafka) kcat(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, requireProgram(t, "kcat"), append([]string{"-q", "-b", strings.Join(k.brokers, ",")}, args...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	return string(out)
}

// kcatRecord is a record in the output of kcat -J.
type kcatRecord struct {
	Key     *string  `json:"key"`
	Time    int64    `json:"ts"`
	Headers []string `json:"headers"` // alternating names and values
	Payload string   `json:"payload"`
}

func (r kcatRecord) header(name string) string {
	for i := 0; i+1 < len(r.Headers); i += 2 {
		if r.Headers[i] == name {
			return r.Headers[i+1]
		}
	}
	return ""
}

func TestKcatReadsWhatKafkapubWrites(t *testing.T) {
	k := startKafka(t)
	client := k.client(t)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	const traceparent = "00-01000000000000000000000000000000-0200000000000000-01"
	event := about("thread ü")
	event.Timestamp = time.UnixMilli(1_800_000_000_123)
	for _, test := range []struct {
		encoding    publisher.Encoding
		contentType string
		id          string // in the header ce_id
	}{
		{publisher.Structured, "application/cloudevents+json; charset=UTF-8", ""},
		{publisher.Binary, "application/json", event.ID},
		{publisher.Plain, "application/json", ""},
	} {
		t.Run(test.encoding.String(), func(t *testing.T) {
			topic := k.topic(t, client, 1)
			require.NoError(t, kafkapub.New(client, topic, kafkapub.WithEncoding(test.encoding)).Publish(ctx, event))
			var got kcatRecord
			require.NoError(t, json.Unmarshal([]byte(k.kcat(t, "", "-C", "-t", topic, "-o", "beginning", "-e", "-J")), &got))
			require.Equal(t, "thread ü", *got.Key)
			require.Equal(t, event.Timestamp.UnixMilli(), got.Time)
			require.Equal(t, test.contentType, got.header("content-type"))
			require.Equal(t, traceparent, got.header("traceparent"))
			require.Equal(t, test.id, got.header("ce_id"))
			decoded, err := publisher.Decode(publisher.Message{Body: []byte(got.Payload)})
			require.NoError(t, err)
			require.Equal(t, event.ID, decoded.ID)
			require.True(t, span.WithRemote(true).Equal(decoded.SpanContext()))
		})
	}
}

func TestKafkapubReadsWhatKcatWrites(t *testing.T) {
	k := startKafka(t)
	topic := k.topic(t, k.client(t), 1)
	const line = `{"event":"node_execution","event_type":"end","content":"done","data":{"n":1},"node_name":"plan",` +
		`"run_id":7,"thread_id":"thread-1","timestamp":1800000000.25,"is_error":false,"metadata":{}}`
	k.kcat(t, line, "-P", "-t", topic, "-k", "thread-1")
	event, err := kafkapub.Decode(k.read(t, topic, 1)[0])
	require.NoError(t, err)
	require.Equal(t, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeEnd, Content: "done", Data: map[string]any{"n": 1.0}, NodeName: "plan",
		RunID: "7", ThreadID: "thread-1", Timestamp: time.UnixMilli(1_800_000_000_250).UTC(), Metadata: map[string]any{},
	}, event)
}
