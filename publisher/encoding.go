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

// Encoding is the form in which an event goes to a broker.
type Encoding uint8

const (
	// Structured is a CloudEvent in JSON, all of it in the body: the default.
	// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
	Structured Encoding = iota
	// Binary is a CloudEvent whose attributes are headers. Its body is the event's plain JSON.
	Binary
	// Plain is the event's plain JSON, as [Event.MarshalJSON] gives it: what consumers of Agentflow's events read.
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

// contentTypeHeader is the name of the header that tells the three apart.
const contentTypeHeader = "content-type"

// A Message is an event as it goes to a broker: what adapters are made of.
type Message struct {
	ID  string // the event's, for the broker to recognise a duplicate by
	Key string // the event's, for the broker to keep the order by
	// Header has content-type; traceparent and tracestate of the context given to Encode, if that is
	// traced, else the event's; in Binary the attributes of the CloudEvent, each with the prefix that the
	// broker's protocol gives them.
	Header map[string]string
	Body   []byte
}

// Encode returns the event as a message. prefix is that of the CloudEvents attributes among the headers in Binary, such as
// "ce_" for Kafka. An event without ID, Timestamp or trace gets them now. The error says what cannot be marshalled.
func (e Encoding) Encode(ctx context.Context, event Event, prefix string) (Message, error) {
	event = event.complete().traced(ctx)
	header := map[string]string{contentTypeHeader: plainType}
	maps.Copy(header, event.hop(ctx))
	body, err := marshal(event)
	switch {
	case err != nil:
		if _, named := event.snapshot(); named != nil { // says where in the event it is
			return Message{}, named
		}
		return Message{}, fmt.Errorf("publisher: event %s cannot be sent: %w", event.ID, err)
	case e == Structured:
		header[contentTypeHeader] = structuredType
		body = cloudEventOf(event).structured(body)
	case e == Binary:
		for name, value := range cloudEventOf(event).attributes() {
			header[prefix+name] = value
		}
	}
	return Message{ID: event.ID, Key: event.Key(), Header: header, Body: body}, nil
}

// hop returns the trace context for the headers: that of ctx, which sends the event, or else that of the event's origin.
func (e Event) hop(ctx context.Context) map[string]string {
	if hop := traceOf(ctx); len(hop) > 0 {
		return hop
	}
	return traceOf(trace.ContextWithSpanContext(ctx, e.SpanContext()))
}

// Decode returns the event that a message is, whatever its encoding. It looks at the body and at the header content-type
// alone, and where the event has no trace at traceparent and tracestate. Names of headers are in lower case.
func Decode(m Message) (Event, error) {
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
	if event.TraceParent == "" {
		event.TraceParent, event.TraceState = m.Header[traceParent], m.Header[traceState]
	}
	return event, nil
}
