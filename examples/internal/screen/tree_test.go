package screen

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

var update = flag.Bool("update", false, "write the golden files")

func TestTracesText(t *testing.T) {
	in, err := os.ReadFile("testdata/spans.json")
	require.NoError(t, err)
	spans, err := readSpans(bytes.NewReader(in))
	require.NoError(t, err)
	out := tracesText(spans)
	const golden = "testdata/tree.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(out), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), out)
}

// Its spans are gone on both sides, and all others stay.
func TestOmit(t *testing.T) {
	all := []span{
		{Name: "answer"},
		{Name: "spawn publish", SpanKind: trace.SpanKindProducer},
		{Name: "publish", SpanKind: trace.SpanKindConsumer, Attributes: outcomeIs("failed")},
		{Name: "publish", SpanKind: trace.SpanKindConsumer, Attributes: outcomeIs("completed")},
		{Name: "publish", SpanKind: trace.SpanKindConsumer, Attributes: outcomeIs("completed")},
		{Name: "notify", SpanKind: trace.SpanKindConsumer, Attributes: outcomeIs("failed")},
	}
	rest, line := omit(all, "publish")
	assert.Equal(t, []span{all[0], all[5]}, rest)
	assert.Equal(t, "Tasks that are not drawn: publish, 2 completed, 1 failed.\n", line)

	rest, line = omit(all, "")
	assert.Equal(t, all, rest)
	assert.Empty(t, line)
}

func outcomeIs(outcome string) attributes {
	as := make(attributes, 1)
	as[0].Key, as[0].Value.Value = "afterspan.task.outcome", outcome
	return as
}

func TestReadSpansRefusesWhatIsNoJSON(t *testing.T) {
	_, err := readSpans(bytes.NewBufferString(`{"Name": "a"} what`))
	assert.ErrorContains(t, err, "reading the spans")
}

func TestInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0µs",
		999 * time.Microsecond:  "999µs",
		1500 * time.Microsecond: "1.5ms",
		150 * time.Millisecond:  "150.0ms",
		2346 * time.Millisecond: "2.35s",
		-20 * time.Microsecond:  "-20µs",
		100 * time.Second:       "100.00s",
	} {
		assert.Equal(t, want, inWords(d))
	}
}

func TestClipAndWrap(t *testing.T) {
	long := string(bytes.Repeat([]byte("word "), 30))
	assert.Len(t, []rune(clip(long)), columns)
	assert.Equal(t, "short", clip("short"))
	assert.Equal(t, string(bytes.Repeat([]byte("word "), 19))+"word\n  "+
		string(bytes.Repeat([]byte("word "), 9))+"word", wrap(long[:len(long)-1], "  "))
}
