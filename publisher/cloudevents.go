package publisher

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Content types: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#3-envelope
const (
	structuredType = "application/cloudevents+json; charset=UTF-8"
	plainType      = "application/json"
)

// cloudEvent is the envelope of an event.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes
type cloudEvent struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"` // the node
	Type            string `json:"type"`
	Subject         string `json:"subject,omitempty"` // the thread
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`

	// Extension attributes. All except KeySequence are documented extensions of the specification.
	// Its "sequence" counts the events of a source; KeySequence counts the events of a key.
	PartitionKey string `json:"partitionkey,omitempty"`
	KeySequence  string `json:"keysequence,omitempty"` // zero-padded to sort as text
	TraceParent  string `json:"traceparent,omitempty"`
	TraceState   string `json:"tracestate,omitempty"`

	Data       json.RawMessage `json:"data,omitempty"`
	DataBase64 []byte          `json:"data_base64,omitempty"` // is read, but never written
}

func cloudEventOf(e Event) cloudEvent {
	c := cloudEvent{
		SpecVersion: "1.0",
		ID:          printable(e.ID),
		Source:      "afterspan",
		Type:        printable(fmt.Sprintf("afterspan.%s.%s", e.Kind, e.Type)),
		Subject:     printable(e.ThreadID),
		Time:        time.UnixMicro(e.Timestamp.UnixMicro()).UTC().Format(time.RFC3339Nano), // as in the data

		DataContentType: plainType,
		PartitionKey:    printable(e.Key()),
		TraceParent:     printable(e.TraceParent),
		TraceState:      printable(e.TraceState),
	}
	if e.NodeName != "" {
		c.Source += "/" + url.PathEscape(e.NodeName)
	}
	if e.Sequence != 0 {
		c.KeySequence = fmt.Sprintf("%020d", e.Sequence)
	}
	return c
}

// structured returns the envelope in JSON, with data in it.
func (c cloudEvent) structured(data json.RawMessage) []byte {
	c.Data = data
	b, _ := json.Marshal(c) // cannot fail: c holds strings and valid JSON
	return b
}

// data returns the data of the envelope.
func (c cloudEvent) data() []byte {
	if c.DataBase64 != nil {
		return c.DataBase64
	}
	return c.Data
}

// attributes returns the attributes that are not empty, by name. It leaves out datacontenttype,
// which is the content-type header in Binary.
func (c cloudEvent) attributes() map[string]string {
	all := map[string]string{
		"specversion": c.SpecVersion, "id": c.ID, "source": c.Source, "type": c.Type, "subject": c.Subject, "time": c.Time,
		"partitionkey": c.PartitionKey, "keysequence": c.KeySequence, traceParent: c.TraceParent, traceState: c.TraceState,
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// isStructured reports whether body is a CloudEvent and not a plain event. It is for messages
// without a content-type header. Only a CloudEvent has the field specversion.
func isStructured(body []byte) bool {
	var head struct {
		SpecVersion string `json:"specversion"`
	}
	return json.Unmarshal(body, &head) == nil && head.SpecVersion != ""
}

// printable replaces the characters that CloudEvents attributes must not contain: control
// characters, noncharacters and invalid UTF-8. The data keeps control characters and noncharacters.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Noncharacter_Code_Point, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
