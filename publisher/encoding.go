package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// Encoding is the form in which an event is sent to a broker.
type Encoding uint8

const (
	// Structured is a CloudEvent in JSON, entirely in the body. It is the default.
	// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
	Structured Encoding = iota
	// Binary is a CloudEvent whose attributes are headers. Its body is the event's plain JSON.
	Binary
	// Plain is the event's plain JSON, as [Event.MarshalJSON] returns it. Consumers of Agentflow's
	// events read this form.
	Plain
)

// String returns "structured", "binary" or "plain".
func (e Encoding) String() string {
	switch e {
	case Structured:
		return "structured"
	case Binary:
		return "binary"
	case Plain:
		return "plain"
	default:
		return fmt.Sprintf("Encoding(%d)", uint8(e))
	}
}

// contentTypeHeader is the name of the header by which Decode knows the encoding.
const contentTypeHeader = "content-type"

// A Message is an encoded event, for an adapter to send to its broker.
type Message struct {
	ID  string // the event's ID, so that the broker can recognise a duplicate
	Key string // the event's key, so that the broker can keep the order
	// Header has the content-type, and the traceparent and tracestate of the sending span: that of
	// the context given to Encode, or else that of the event. In Binary it also has the attributes
	// of the CloudEvent, each with the prefix that the broker's protocol requires.
	Header map[string]string
	Body   []byte
}

// Encode returns the event as a message. In Binary, prefix stands before the names of the
// CloudEvents attributes in the headers: "ce_" for Kafka, for example. Encode fills in ID,
// Timestamp and trace context where they are empty. The message shares no memory with the event.
//
// [Decode] reads back the event that was encoded, with these exceptions:
//   - Its time is in UTC and microseconds.
//   - Invalid UTF-8 is replaced.
//   - Values in Data, Metadata and ContentBlocks have the types of package json. A nil Data or
//     Metadata comes back as an empty map.
//   - A TraceState without a TraceParent is dropped: it has no meaning alone.
//   - A TraceParent that is not valid is replaced by that of the headers, if there is one.
//
// Encode refuses all other events with a [Permanent] error that says which value does not come
// back: a number that is not the same as a float64, such as an integer beyond 2^53, an object that
// has a key twice, more than 500 levels of objects and arrays, or a time outside the years 1 to
// 9999. It also refuses them if e is unknown.
func (e Encoding) Encode(ctx context.Context, event Event, prefix string) (Message, error) {
	if e > Plain {
		return Message{}, Permanent(fmt.Errorf("publisher: %v is unknown", e))
	}
	event = event.complete().traced(ctx)
	body, err := encodeJSON(event)
	if err != nil {
		return Message{}, err
	}
	header := map[string]string{contentTypeHeader: plainType}
	maps.Copy(header, event.hop(ctx))
	switch e {
	case Structured:
		header[contentTypeHeader] = structuredType
		body = cloudEventOf(event).structured(body)
	case Binary:
		for name, value := range cloudEventOf(event).attributes() {
			header[prefix+name] = strings.Clone(value)
		}
	}
	return Message{ID: strings.Clone(event.ID), Key: strings.Clone(event.Key()), Header: header, Body: body}, nil
}

// encodeJSON returns the plain JSON of an event that Decode reads back as it is.
func encodeJSON(event Event) ([]byte, error) {
	if event.Kind == "" && event.Type == "" {
		return nil, Permanent(errors.New("publisher: the event has no kind and no type: set Event.Kind and Event.Type"))
	}
	body, err := marshal(event)
	if err == nil {
		err = checkJSON(body, 0)
	}
	if err == nil {
		return body, nil
	}
	if _, named := event.snapshot(); named != nil { // says where in the event the value is
		return nil, named
	}
	return nil, event.refused(err)
}

// hop returns the trace context for the headers: that of ctx, whose span sends the event, or else
// that of the event's origin.
func (e Event) hop(ctx context.Context) map[string]string {
	if hop := traceOf(ctx); len(hop) > 0 {
		return hop
	}
	return traceOf(trace.ContextWithSpanContext(ctx, e.SpanContext()))
}

// Decode returns the event in a message of any encoding. It reads the body and the content-type
// header. If the event has no valid trace context, Decode takes it from the headers traceparent and
// tracestate. The names of headers must be in lower case. An error of Decode is [Permanent].
func Decode(m Message) (Event, error) {
	event, err := decode(m)
	if err != nil {
		return Event{}, Permanent(shorten(err))
	}
	return event, nil
}

func decode(m Message) (Event, error) {
	body := m.Body
	mediaType, _, _ := mime.ParseMediaType(m.Header[contentTypeHeader])
	if strings.HasPrefix(mediaType, "application/cloudevents") || mediaType == "" && isStructured(body) {
		var envelope cloudEvent
		if err := json.Unmarshal(body, &envelope); err != nil {
			return Event{}, fmt.Errorf("publisher: not a CloudEvent in JSON: %w", err)
		}
		body = envelope.data()
	}
	var event Event
	if err := event.UnmarshalJSON(body); err != nil {
		return Event{}, err
	}
	if event.Kind == "" && event.Type == "" {
		return Event{}, errors.New("publisher: not an event: it has neither event nor event_type")
	}
	hop := Event{TraceParent: m.Header[traceParent], TraceState: m.Header[traceState]}
	if event.TraceParent == "" || hop.isTraced() && !event.isTraced() {
		event.TraceParent, event.TraceState = hop.TraceParent, hop.TraceState
	}
	return event, nil
}

func (e Event) isTraced() bool { return e.SpanContext().IsValid() }
