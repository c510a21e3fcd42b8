package publisher

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// An Event says what happened in the run of an agent, or in any other program. Its fields and their
// JSON names are those of Agentflow's EventModel, plus an ID, a sequence number and a trace
// context.
//
// Kind and Type must be set. [Go] and [Ordered] fill in ID, Sequence, Timestamp, TraceParent
// and TraceState where they are empty. They do so once for each event, not for each attempt. They
// also copy the event, so the caller may change its maps and slices afterwards. The copy keeps
// values of JSON's own types, including map[string]any and []any. Any other value in Data, Metadata
// and ContentBlocks, such as a struct, is marshalled during the call and reaches the publisher as a
// [encoding/json.RawMessage].
type Event struct {
	// ID identifies the event, and shows a consumer which events are duplicates. The default is a
	// UUID of version 7, which sorts by time:
	// https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
	ID string
	// Sequence counts the events of one key, from 1, in this process. Each [Ordered] counts its own
	// events; the function [Go] counts those of all its calls together. The count of a key may
	// start at 1 again once 65,536 other keys have been used. 0 means none: events without a key
	// are not counted.
	Sequence uint64

	Kind Kind // what the event is about; "event" in JSON
	Type Type // what happened; "event_type" in JSON

	Content       string
	ContentBlocks []map[string]any
	ContentType   []ContentType // the types of Content and ContentBlocks
	Data          map[string]any

	NodeName string
	RunID    string
	ThreadID string // the conversation
	UserID   string

	// Timestamp is the time of the call, unless set. Brokers get it in microseconds. The years 1 to
	// 9999 can be sent, except for the first microsecond: it would be read as no time.
	Timestamp time.Time
	IsError   bool
	Metadata  map[string]any

	// TraceParent and TraceState are the trace context of the task that published the event, unless
	// set. Their form is that of https://www.w3.org/TR/trace-context/. Without TraceParent,
	// TraceState is not sent. Read them with [Event.SpanContext].
	TraceParent, TraceState string
}

// SpanContext returns the span context of the task that published the event, for a consumer to link
// to. It is remote. It is not valid if the event was not traced.
func (e Event) SpanContext() trace.SpanContext {
	carrier := propagation.MapCarrier{traceParent: e.TraceParent, traceState: e.TraceState}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// The names of the W3C trace context, both as headers and as CloudEvents attributes.
const traceParent, traceState = "traceparent", "tracestate"

// accept returns a copy of the event, complete except for Sequence and the trace context.
func (e Event) accept() (Event, error) {
	e = e.complete()
	switch {
	case e.Kind == "":
		return e.cloneText(), Permanent(errors.New("publisher: the event has no kind: set Event.Kind"))
	case e.Type == "":
		return e.cloneText(), Permanent(errors.New("publisher: the event has no type: set Event.Type"))
	}
	return e.snapshot()
}

// A part is a map or slice field of an event.
type part struct {
	name, field string // in JSON and in Go
	value       any
}

// parts returns the parts of the event that are not empty.
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

// complete fills in the ID and the Timestamp, which must be the same in all attempts.
func (e Event) complete() Event {
	if e.ID == "" {
		// NewV7 fails only without a source of randomness, and then the process ends anyway.
		e.ID = uuid.Must(uuid.NewV7()).String()
	}
	if e.Timestamp.IsZero() {
		e.Timestamp = time.Now().UTC().Truncate(time.Microsecond)
	}
	return e
}

// traced fills in the trace context of ctx, unless the event has one. An event that is forwarded
// keeps the trace context of its origin.
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
