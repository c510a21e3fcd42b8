package publisher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

func readable(t *testing.T, e publisher.Event) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, publisher.Console(&out).Publish(t.Context(), e))
	return out.String()
}

func TestConsoleWritesALineForPeople(t *testing.T) {
	assert.Equal(t, `2023-11-14T22:13:20.123456Z tool_execution result node=search thread=t-1 run=r-1 user=u-1 #7 ERROR "42 files" `+
		`content_type=["text","tool_result"] content_blocks=[{"text":"42 files","type":"text"}] data={"files":42,"list":["a",null,true]} metadata={"is_stream":false}`+"\n",
		readable(t, full()))
}

func TestConsoleLeavesOutWhatIsEmpty(t *testing.T) {
	e := publisher.Event{
		Kind: "k", Type: "t", Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", -3600)),
		ContentBlocks: []map[string]any{}, Data: map[string]any{}, Metadata: map[string]any{},
	}
	assert.Equal(t, "2026-01-02T03:04:05-01:00 k t\n", readable(t, e))
}

func TestConsoleQuotesWhatIsNotOneWord(t *testing.T) {
	for in, want := range map[string]string{
		"plain-word_1/2:3": "plain-word_1/2:3", "ünï🛰": "ünï🛰", "two words": `"two words"`, "a=b": `"a=b"`, `q"q`: `"q\"q"`,
		"line\nbreak": `"line\nbreak"`, "\r\t\x00": `"\r\t\x00"`, "\x1b[31mred": `"\x1b[31mred"`, "\u009b31m": `"\u009b31m"`,
		"no\u00a0break": `"no\u00a0break"`, "\u2028": `"\u2028"`, "bidi\u202e": `"bidi\u202e"`, "\x7f": `"\x7f"`,
	} {
		e := publisher.Event{Kind: publisher.Kind(in), Type: publisher.Type(in), NodeName: in, ThreadID: in, RunID: in, UserID: in}
		e.Timestamp = time.Unix(0, 0).UTC()
		assert.Equal(t, fmt.Sprintf("1970-01-01T00:00:00Z %s %[1]s node=%[1]s thread=%[1]s run=%[1]s user=%[1]s\n", want),
			readable(t, e))
	}
	assert.Equal(t, `1970-01-01T00:00:00Z "" ""`+"\n", readable(t, publisher.Event{Timestamp: time.Unix(0, 0).UTC()}))
}

// Text in an event can neither start a line of its own nor control the terminal.
func TestConsoleLetsNoControlCharacterThrough(t *testing.T) {
	const evil = "a\nb\r\x1b[2J\x1b]0;title\x07\x08\x00"
	e := publisher.Event{
		ID: evil, Kind: evil, Type: evil, Content: evil, NodeName: evil, RunID: evil, ThreadID: evil, UserID: evil,
		ContentBlocks: []map[string]any{{evil: evil}}, ContentType: []publisher.ContentType{evil},
		Data: map[string]any{evil: []any{evil}}, Metadata: map[string]any{evil: evil}, TraceParent: evil, TraceState: evil,
	}
	for name, opts := range map[string][]publisher.ConsoleOption{"readable": nil, "JSON": {publisher.WithJSONLines()}} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, publisher.Console(&out, opts...).Publish(t.Context(), e))
			line, found := strings.CutSuffix(out.String(), "\n")
			assert.True(t, found)
			assert.Equal(t, -1, strings.IndexFunc(line, unicode.IsControl), "%q", line)
		})
	}
}

func TestConsoleWritesLinesOfJSON(t *testing.T) {
	var out bytes.Buffer
	p := publisher.Console(&out, nil, publisher.WithJSONLines())
	require.NoError(t, p.Publish(t.Context(), full()))
	assert.Equal(t, toJSON(t, full())+"\n", out.String())

	out.Reset()
	ctx := trace.ContextWithSpanContext(t.Context(), span(t, 1))
	require.NoError(t, p.Publish(ctx, small("t-1", "")))
	var got publisher.Event
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	assert.NotEmpty(t, got.ID)
	assert.False(t, got.Timestamp.IsZero())
	assert.True(t, got.SpanContext().Equal(span(t, 1).WithRemote(true)))
}

// writes keeps the argument of each Write. It panics if two calls overlap.
type writes struct {
	mu    sync.Mutex
	lines []string
}

func (w *writes) Write(p []byte) (int, error) {
	if !w.mu.TryLock() {
		panic("two at a time")
	}
	defer w.mu.Unlock()
	w.lines = append(w.lines, string(p))
	time.Sleep(time.Millisecond)
	return len(p), nil
}

func TestConsoleWritesEachLineInOneCallAndOneAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &writes{}
		p := publisher.Console(w)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { assert.NoError(t, p.Publish(t.Context(), small("t-1", fmt.Sprint(i)))) })
		}
		wg.Wait()
		assert.Len(t, w.lines, 50)
		for _, line := range w.lines {
			assert.Equal(t, 1, strings.Count(line, "\n"))
			assert.True(t, strings.HasSuffix(line, "\n"))
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestConsoleReturnsWhatBecameOfTheWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		write writerFunc
		want  error
	}{
		"an error":      {func([]byte) (int, error) { return 0, errBroker }, errBroker},
		"a short write": {func([]byte) (int, error) { return 3, io.ErrShortWrite }, io.ErrShortWrite},
		"a late error":  {func(p []byte) (int, error) { return len(p), errBroker }, errBroker},
		"a panic":       {func([]byte) (int, error) { panic(errBroker) }, errBroker},
	} {
		t.Run(name, func(t *testing.T) {
			p := publisher.Console(tc.write)
			for range 3 { // each call must give back the turn
				require.ErrorIs(t, p.Publish(t.Context(), small("", "")), tc.want)
			}
		})
	}
}

func TestConsoleReportsAPanicWithItsStack(t *testing.T) {
	err := publisher.Console(writerFunc(func([]byte) (int, error) { panic("no") })).Publish(t.Context(), full())
	var panicked *core.PanicError
	require.ErrorAs(t, err, &panicked)
	assert.Contains(t, string(panicked.Stack), "console_test.go")
}

func TestConsoleSaysWhatCannotBeWritten(t *testing.T) {
	bad := make(chan int)
	for field, e := range map[string]publisher.Event{
		"data":     {Data: map[string]any{"x": bad}},
		"metadata": {Metadata: map[string]any{"x": bad}},
		"blocks":   {ContentBlocks: []map[string]any{{"x": bad}}},
	} {
		e.ID, e.Kind, e.Type = "e-1", "k", "t"
		for _, p := range []publisher.Publisher{
			publisher.Console(io.Discard), publisher.Console(io.Discard, publisher.WithJSONLines()),
		} {
			err := p.Publish(t.Context(), e)
			require.ErrorContains(t, err, "publisher: event e-1 cannot be ", field)
			var unsupported *json.UnsupportedTypeError
			require.ErrorAs(t, err, &unsupported)
			require.Equal(t, reflect.TypeFor[chan int](), unsupported.Type)
		}
	}
}

func TestConsoleWritesNothingWhenItsContextIsDone(t *testing.T) {
	for range 50 { // a select of two ready channels would be wrong half the time
		bubble(t, func(t *testing.T) {
			var out bytes.Buffer
			require.ErrorIs(t, publisher.Console(&out).Publish(cancelled(), full()), context.Canceled)
			synctest.Wait()
			require.Zero(t, out.Len())
		})
	}
}

// The writer hangs like a terminal that was stopped with Ctrl-S, or like a full pipe.
func TestConsoleThatHangsHoldsUpNobodyLongerThanTheirContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release, lines := make(chan struct{}), []string{}
		p := publisher.Console(writerFunc(func(b []byte) (int, error) {
			<-release
			lines = append(lines, string(b))
			return len(b), nil
		}))
		began, before := time.Now(), settled()
		for i := range 3 {
			err := p.Publish(within(t, time.Second), small("t-1", fmt.Sprint("line ", i)))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Duration(i+1)*time.Second, time.Since(began))
		}
		synctest.Wait()
		assert.Equal(t, before+1, goroutines(), "only the goroutine of the Write that hangs")

		close(release)
		synctest.Wait()
		require.NoError(t, p.Publish(t.Context(), small("t-1", "it goes on")))
		require.Len(t, lines, 2)
		assert.Contains(t, lines[0], "line 0", "its Write had begun")
		assert.Contains(t, lines[1], "it goes on")
	})
}

func TestConsoleErrorsReachTheTask(t *testing.T) {
	m := newManager()
	closed, _ := io.Pipe()
	require.NoError(t, closed.Close())
	_, w := io.Pipe()
	require.NoError(t, w.CloseWithError(errBroker))
	task := publisher.Go(t.Context(), m, publisher.Console(w), small("t-1", ""))
	require.NoError(t, m.Wait(t.Context()))
	assertOutcome(t, core.Failed, task)
	assert.True(t, errors.Is(task.Err(), io.ErrClosedPipe))
}
