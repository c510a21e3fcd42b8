package publisher_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
)

// Consumers of Agentflow's events compare with these strings.
func TestKindsAreAgentflows(t *testing.T) {
	assert.Equal(t, []publisher.Kind{
		"graph_execution", "node_execution", "tool_execution", "streaming", "llm_call", "realtime",
	}, []publisher.Kind{
		publisher.KindGraphExecution, publisher.KindNodeExecution, publisher.KindToolExecution,
		publisher.KindStreaming, publisher.KindLLMCall, publisher.KindRealtime,
	})
}

func TestTypesAreAgentflows(t *testing.T) {
	assert.Equal(t, []publisher.Type{"start", "progress", "result", "end", "update", "error", "interrupted"},
		[]publisher.Type{
			publisher.TypeStart, publisher.TypeProgress, publisher.TypeResult, publisher.TypeEnd,
			publisher.TypeUpdate, publisher.TypeError, publisher.TypeInterrupted,
		})
}

func TestContentTypesAreAgentflows(t *testing.T) {
	assert.Equal(t, []publisher.ContentType{
		"text", "message", "reasoning", "tool_call", "tool_result", "image", "audio", "video", "document",
		"transcript", "data", "state", "update", "error",
	}, []publisher.ContentType{
		publisher.ContentText, publisher.ContentMessage, publisher.ContentReasoning, publisher.ContentToolCall,
		publisher.ContentToolResult, publisher.ContentImage, publisher.ContentAudio, publisher.ContentVideo,
		publisher.ContentDocument, publisher.ContentTranscript, publisher.ContentData, publisher.ContentState,
		publisher.ContentUpdate, publisher.ContentError,
	})
}

func TestKindsAndTypesOfOnesOwnAreWelcome(t *testing.T) {
	sink := &inbox{}
	_, err := publish(t, sink, publisher.Event{Kind: "billing", Type: "charged", ContentType: []publisher.ContentType{"pdf"}})
	require.NoError(t, err)
	got := sink.only(t)
	assert.Equal(t, publisher.Kind("billing"), got.Kind)
	assert.Equal(t, publisher.Type("charged"), got.Type)
	assert.Equal(t, []publisher.ContentType{"pdf"}, got.ContentType)
}

// The IDs sort in the order of the calls. The order of arrival is random for the function Go.
func TestIDsAreUUIDsOfVersion7ThatSortByTheCall(t *testing.T) {
	const events = 500
	m, sink := newManager(), &inbox{}
	for i := range events {
		e := small("t-1", "")
		e.Sequence = uint64(i + 1)
		publisher.Go(t.Context(), m, sink, e)
	}
	require.NoError(t, m.Wait(t.Context()))
	ids := make([]string, events)
	for _, e := range sink.all() {
		id, err := uuid.Parse(e.ID)
		require.NoError(t, err)
		require.EqualValues(t, 7, id.Version())
		require.Equal(t, uuid.RFC4122, id.Variant())
		ids[e.Sequence-1] = e.ID
	}
	assert.True(t, slices.IsSorted(ids))
	assert.Len(t, slices.Compact(ids), events)
}

func TestIDsOfManyCallersAreUnique(t *testing.T) {
	const callers, events = 16, 50
	m, sink := newManager(), &inbox{}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range events {
				publisher.Go(t.Context(), m, sink, small("", ""))
			}
		})
	}
	wg.Wait()
	require.NoError(t, m.Wait(t.Context()))
	seen := make(map[string]bool)
	for _, e := range sink.all() {
		seen[e.ID] = true
	}
	assert.Len(t, seen, callers*events)
}

func TestWhatIsSetStays(t *testing.T) {
	sent, sink := full(), &inbox{}
	sent.Timestamp = time.Date(1999, 12, 31, 23, 59, 59, 123, time.FixedZone("", 3600))
	m := newManager()
	publisher.Go(trace.ContextWithSpanContext(t.Context(), span(t, 5)), m, sink, sent)
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, sent, sink.only(t))
}

func TestTimestampIsTheTimeOfTheCallInMicroseconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(1234567 * time.Nanosecond)
		m, sink, called := newManager(), &inbox{}, time.Now()
		o := publisher.NewOrdered(m, sink.slowly(time.Hour))
		o.Go(t.Context(), small("t-1", "")) // holds up the next
		o.Go(t.Context(), small("t-1", ""))
		publisher.Go(t.Context(), m, sink.slowly(time.Hour), small("t-1", ""))
		require.NoError(t, m.Wait(t.Context()))
		require.Len(t, sink.all(), 3)
		for _, e := range sink.all() {
			assert.Equal(t, called.UTC().Truncate(time.Microsecond), e.Timestamp)
			assert.Equal(t, time.UTC, e.Timestamp.Location())
		}
	})
}

func TestSpanContextIsReadBackWithItsState(t *testing.T) {
	for name, want := range map[string]trace.SpanContext{
		"sampled":     span(t, 1),
		"not sampled": span(t, 2).WithTraceFlags(0),
		"no state":    span(t, 3).WithTraceState(trace.TraceState{}),
	} {
		t.Run(name, func(t *testing.T) {
			m, sink := newManager(), &inbox{}
			publisher.Go(trace.ContextWithSpanContext(t.Context(), want), m, sink, small("", ""))
			require.NoError(t, m.Wait(t.Context()))
			got := sink.only(t).SpanContext()
			assert.True(t, got.Equal(want.WithRemote(true)), "%v", got)
			assert.True(t, got.IsRemote())
		})
	}
}

func TestSpanContextOfJunkIsNotValid(t *testing.T) {
	const id, spanID = "0102030405060708090a0b0c0d0e0f10", "0102030405060708"
	for _, junk := range []string{
		"", "x", "00", "00--", "00-" + id, "00-" + id + "-" + spanID, "ff-" + id + "-" + spanID + "-01",
		"00-" + id + "-0000000000000000-01", "00-00000000000000000000000000000000-" + spanID + "-01",
		"00-" + id + "-" + spanID + "-01-more", "00-XX02030405060708090a0b0c0d0e0f10-" + spanID + "-01",
		"00-" + id + "-" + spanID + "-0\x00", "\r\n", "🛰",
	} {
		e := publisher.Event{TraceParent: junk, TraceState: "vendor=1"}
		assert.False(t, e.SpanContext().IsValid(), "%q", junk)
	}
}

func TestSpanContextSurvivesAStateThatIsJunk(t *testing.T) {
	e := publisher.Event{TraceParent: parent(span(t, 1)), TraceState: "=,=;\x00"}
	assert.Equal(t, span(t, 1).TraceID(), e.SpanContext().TraceID())
	assert.Zero(t, e.SpanContext().TraceState().Len())
}

// If an event is forwarded, its consumers still link to its origin.
func TestTraceOfTheOriginStays(t *testing.T) {
	ctx := trace.ContextWithSpanContext(context.Background(), span(t, 2))
	for name, state := range map[string]string{"with a state": "vendor=1", "without": ""} {
		t.Run(name, func(t *testing.T) {
			m, sink := newManager(), &inbox{}
			e := small("t-1", "")
			e.TraceParent, e.TraceState = parent(span(t, 1)), state
			publisher.Go(ctx, m, sink, e)
			publisher.NewOrdered(m, sink).Go(ctx, e)
			require.NoError(t, m.Wait(t.Context()))
			require.Len(t, sink.all(), 2)
			for _, got := range sink.all() {
				assert.Equal(t, e.TraceParent, got.TraceParent)
				assert.Equal(t, state, got.TraceState)
			}
		})
	}
}
