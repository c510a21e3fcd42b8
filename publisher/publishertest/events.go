package publishertest

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
)

// numbered returns event i of a thread. It is the same event for the same arguments.
func numbered(thread string, i int) publisher.Event {
	return publisher.Event{
		ID:   fmt.Sprintf("%s/%d", thread, i),
		Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress,
		ThreadID: thread, Timestamp: time.Unix(1_700_000_000, 0),
	}
}

// fullEvent returns an event with all fields set, except for its trace context.
func fullEvent() publisher.Event {
	return publisher.Event{
		ID: "0192d7a0-0000-7000-8000-000000000001", Sequence: 7,
		Kind: publisher.KindToolExecution, Type: publisher.TypeResult,
		Content:       "42 files",
		ContentBlocks: []map[string]any{{"type": "text", "text": "42 files"}},
		ContentType:   []publisher.ContentType{publisher.ContentText, publisher.ContentToolResult},
		Data:          map[string]any{"files": 42.0, "nested": map[string]any{"list": []any{"a", nil, true}}},
		NodeName:      "search files", RunID: "r-1", ThreadID: "t-1", UserID: "u-1",
		Timestamp: time.Unix(1_700_000_000, 123_456_000),
		IsError:   true,
		Metadata:  map[string]any{"is_stream": false},
	}
}

// requireEqual compares two events by their JSON, which is what a consumer sees.
func (k *kit) requireEqual(want, got publisher.Event) {
	k.Helper()
	wantJSON, err := json.Marshal(want)
	if err != nil {
		k.Fatal(err)
	}
	gotJSON, err := json.Marshal(got)
	if err != nil {
		k.Fatal(err)
	}
	if string(wantJSON) != string(gotJSON) {
		k.Errorf("the event is\n%s\nand should be\n%s", gotJSON, wantJSON)
	}
}

// spanContext returns a sampled span context with a trace state, determined by seed.
func spanContext(seed byte) trace.SpanContext {
	state, err := trace.ParseTraceState(fmt.Sprintf("vendor=%d", seed))
	if err != nil {
		panic(err)
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{seed, 15: 1}, SpanID: trace.SpanID{seed, 7: 1},
		TraceFlags: trace.FlagsSampled, TraceState: state,
	})
}

func (k *kit) requireSpan(want trace.SpanContext, e publisher.Event) {
	k.Helper()
	if got := e.SpanContext(); !got.Equal(want.WithRemote(true)) {
		k.Errorf("the event has the span %v, want %v", got, want)
	}
}

// requireNoLeak fails the test if there are more goroutines after its cleanup functions than before
// the test. A test that has failed may have left some behind.
func requireNoLeak(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		deadline := time.Now().Add(patience)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Errorf("the test leaked %d goroutines:\n%s",
					runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
				return
			}
			time.Sleep(time.Millisecond) // a goroutine that is ending gives no signal
		}
	})
}
