package publisher

import (
	"encoding/json"
	"fmt"
	"time"
)

// eventJSON is the plain JSON of an event: Agentflow's fields and ours.
type eventJSON struct {
	ID            string           `json:"id,omitempty"`
	Sequence      uint64           `json:"sequence,omitempty"`
	Kind          Kind             `json:"event"`
	Type          Type             `json:"event_type"`
	Content       string           `json:"content"`
	ContentBlocks []map[string]any `json:"content_blocks"`
	Data          map[string]any   `json:"data"`
	ContentType   []ContentType    `json:"content_type"`
	NodeName      string           `json:"node_name"`
	RunID         text             `json:"run_id"`
	ThreadID      text             `json:"thread_id"`
	UserID        text             `json:"user_id,omitempty"`
	Timestamp     unixSeconds      `json:"timestamp"`
	IsError       bool             `json:"is_error"`
	Metadata      map[string]any   `json:"metadata"`
	TraceParent   string           `json:"traceparent,omitempty"`
	TraceState    string           `json:"tracestate,omitempty"`
}

// MarshalJSON returns the event in Agentflow's plain form. timestamp is in seconds since 1970. The
// fields id, sequence, traceparent and tracestate are additions to Agentflow's. Invalid UTF-8 is
// replaced, as package json does. Data of more than a few thousand levels is an error.
func (e Event) MarshalJSON() ([]byte, error) {
	if err := e.checkNesting(); err != nil {
		return nil, err
	}
	return json.Marshal(eventJSON{
		ID: e.ID, Sequence: e.Sequence, Kind: e.Kind, Type: e.Type,
		Content: e.Content, ContentBlocks: e.ContentBlocks, ContentType: e.ContentType,
		Data: orEmpty(e.Data), Metadata: orEmpty(e.Metadata),
		NodeName: e.NodeName, RunID: text(e.RunID), ThreadID: text(e.ThreadID), UserID: text(e.UserID),
		Timestamp: unixSeconds(e.Timestamp), IsError: e.IsError,
		TraceParent: e.TraceParent, TraceState: e.TraceState,
	})
}

// UnmarshalJSON reads JSON that [Event.MarshalJSON] or Agentflow has written. A run_id, thread_id
// or user_id that is a number becomes the string of its digits. Numbers in Data, Metadata and
// ContentBlocks become float64.
func (e *Event) UnmarshalJSON(b []byte) error {
	var j eventJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("publisher: not an event: %w", err)
	}
	*e = Event{
		ID: j.ID, Sequence: j.Sequence, Kind: j.Kind, Type: j.Type,
		Content: j.Content, ContentBlocks: j.ContentBlocks, ContentType: j.ContentType,
		Data: j.Data, Metadata: j.Metadata,
		NodeName: j.NodeName, RunID: string(j.RunID), ThreadID: string(j.ThreadID), UserID: string(j.UserID),
		Timestamp: time.Time(j.Timestamp), IsError: j.IsError,
		TraceParent: j.TraceParent, TraceState: j.TraceState,
	}
	return nil
}

// orEmpty returns m, or an empty map if m is nil: Agentflow writes {} and not null.
func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// text is a string that may be a number in JSON, as the ids of Agentflow may be.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		var n json.Number
		err := json.Unmarshal(b, &n)
		*t = text(n)
		return err
	}
	return json.Unmarshal(b, (*string)(t))
}
