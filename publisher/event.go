package publisher

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// An Event says what happened in the run of an agent, or of anything else. Its fields, and their names in JSON,
// are those of Agentflow's EventModel, with what that lacks: an id, a number within its key, and its trace.
//
// Kind and Type must be set. [Publish] and [Ordered] fill in ID, Sequence, Timestamp, TraceParent and TraceState where
// they are empty, once for each event and not for each attempt, and copy the event: what the caller does to its
// maps and slices afterwards changes nothing. The copy keeps what JSON is made of, maps of any and slices of any among it. Everything
// else in Data, Metadata and ContentBlocks, such as a struct, is marshalled then, and reaches the publisher as a [encoding/json.RawMessage].
type Event struct {
	// ID tells an event from all others, and a duplicate from a new one. It is a UUID of version 7 unless set,
	// which sorts by time: https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
	ID string
	// Sequence counts the events of one key, from 1, in this process: each [Ordered] counts for itself, and [Publish]
	// for all its calls together. A key that was idle while 65,536 others came starts at 1 again. 0 is none, for
	// events without a key.
	Sequence uint64

	Kind Kind // what the event is about; "event" in JSON
	Type Type // what happened to it; "event_type"

	Content       string
	ContentBlocks []map[string]any
	ContentType   []ContentType // what Content and ContentBlocks are
	Data          map[string]any

	NodeName string
	RunID    string
	ThreadID string // the conversation
	UserID   string

	// Timestamp is the time of the call unless set. Brokers get it in microseconds.
	Timestamp time.Time
	IsError   bool
	Metadata  map[string]any

	// TraceParent and TraceState are the trace context of the task that published the event, unless set, as the
	// W3C writes it: https://www.w3.org/TR/trace-context/. Read them with [Event.SpanContext].
	TraceParent, TraceState string
}

// Key returns what the event is ordered by: its thread, or else its run. It is "" for an event that has neither.
func (e Event) Key() string {
	if e.ThreadID != "" {
		return e.ThreadID
	}
	return e.RunID
}

// SpanContext returns the span of the task that published the event, for a consumer to link to. It is remote,
// and not valid if the event was not traced.
func (e Event) SpanContext() trace.SpanContext {
	carrier := propagation.MapCarrier{traceParent: e.TraceParent, traceState: e.TraceState}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// The names of the W3C's trace context, in headers and as attributes of CloudEvents.
const traceParent, traceState = "traceparent", "tracestate"

// accept returns the event as it is at this moment, complete but for its trace.
func (e Event) accept() (Event, error) {
	e = e.complete()
	switch {
	case e.Kind == "":
		return e, errors.New("publisher: an event without a kind: set Event.Kind")
	case e.Type == "":
		return e, errors.New("publisher: an event without a type: set Event.Type")
	}
	return e.snapshot()
}

// part is what may be anything in an event.
type part struct {
	name, field string // in JSON and in Go
	value       any
}

// parts returns those that are not empty.
func (e Event) parts() []part {
	var parts []part
	if len(e.ContentType) > 0 {
		parts = append(parts, part{"content_type", "ContentType", e.ContentType})
	}
	if len(e.ContentBlocks) > 0 {
		parts = append(parts, part{"content_blocks", "ContentBlocks", e.ContentBlocks})
	}
	if len(e.Data) > 0 {
		parts = append(parts, part{"data", "Data", e.Data})
	}
	if len(e.Metadata) > 0 {
		parts = append(parts, part{"metadata", "Metadata", e.Metadata})
	}
	return parts
}

// complete fills in what must not be made anew for each attempt.
func (e Event) complete() Event {
	if e.ID == "" {
		e.ID = uuid.Must(uuid.NewV7()).String() // fails only if there is no randomness, which ends the process anyway
	}
	if e.Timestamp.IsZero() {
		e.Timestamp = time.Now().UTC().Truncate(time.Microsecond)
	}
	return e
}

// traced fills in the trace context of ctx, unless the event has one. So it stays that of its origin,
// however often it is handed on.
func (e Event) traced(ctx context.Context) Event {
	if e.TraceParent == "" {
		carrier := traceOf(ctx)
		e.TraceParent, e.TraceState = carrier[traceParent], carrier[traceState]
	}
	return e
}

// traceOf returns the trace context of ctx. It is empty if ctx is not traced.
func traceOf(ctx context.Context) propagation.MapCarrier {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier
}
