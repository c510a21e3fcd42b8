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

	// Extensions, of the specification's own list but for the second: its "sequence" counts the events of a source, ours
	// those of a key.
	PartitionKey string `json:"partitionkey,omitempty"`
	KeySequence  string `json:"keysequence,omitempty"` // padded, so that it sorts as text
	TraceParent  string `json:"traceparent,omitempty"`
	TraceState   string `json:"tracestate,omitempty"`

	Data       json.RawMessage `json:"data,omitempty"`
	DataBase64 []byte          `json:"data_base64,omitempty"` // only from others
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

// structured returns the envelope with data in it.
func (c cloudEvent) structured(data json.RawMessage) []byte {
	c.Data = data
	b, _ := json.Marshal(c) // strings, and what is JSON already
	return b
}

// data returns what is in the envelope.
func (c cloudEvent) data() []byte {
	if c.DataBase64 != nil {
		return c.DataBase64
	}
	return c.Data
}

// attributes returns those that are set, by name. The content type of the data has a header of its own.
func (c cloudEvent) attributes() map[string]string {
	all := map[string]string{
		"specversion": c.SpecVersion, "id": c.ID, "source": c.Source, "type": c.Type, "subject": c.Subject, "time": c.Time,
		"partitionkey": c.PartitionKey, "keysequence": c.KeySequence, traceParent: c.TraceParent, traceState: c.TraceState,
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// isStructured tells a CloudEvent from a plain event where there was no header to say so: they share no field of this name.
func isStructured(body []byte) bool {
	var head struct {
		SpecVersion string `json:"specversion"`
	}
	return json.Unmarshal(body, &head) == nil && head.SpecVersion != ""
}

// printable replaces what the strings of CloudEvents attributes must not have: control characters, noncharacters and invalid
// UTF-8. The data keeps them. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Noncharacter_Code_Point, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
