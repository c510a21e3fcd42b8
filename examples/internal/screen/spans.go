package screen

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A span is what stdouttrace writes of one, as far as the tree shows it.
type span struct {
	Name        string
	SpanContext spanID
	Parent      spanID
	SpanKind    trace.SpanKind
	StartTime   time.Time
	EndTime     time.Time
	Attributes  attributes
	Events      []struct {
		Name       string
		Attributes attributes
	}
	Links  []struct{ SpanContext spanID }
	Status struct{ Code, Description string }
}

// A spanID tells a span from all others.
type spanID struct{ TraceID, SpanID string }

type attributes []struct {
	Key   string
	Value struct{ Value any }
}

// get returns an attribute in words, or "" if there is none.
func (as attributes) get(key string) string {
	for _, a := range as {
		if a.Key == key {
			return fmt.Sprint(a.Value.Value)
		}
	}
	return ""
}

// readSpans reads the output of stdouttrace, which is one JSON object for each span.
func readSpans(r io.Reader) ([]span, error) {
	var spans []span
	decoder := json.NewDecoder(r)
	for {
		var s span
		switch err := decoder.Decode(&s); {
		case errors.Is(err, io.EOF):
			return spans, nil
		case err != nil:
			return nil, fmt.Errorf("reading the spans: %w", err)
		}
		spans = append(spans, s)
	}
}

func (s span) took() time.Duration { return s.EndTime.Sub(s.StartTime) }

// isTask reports whether it is the span of a background task.
func (s span) isTask() bool { return s.SpanKind == trace.SpanKindConsumer }

// outcome returns the outcome of a task, also on its spawn span, if that has it.
func (s span) outcome() string { return s.Attributes.get("afterspan.task.outcome") }

// errors says what went wrong, and where if it was a panic.
func (s span) errors() string {
	if s.Status.Code != "Error" || s.SpanKind == trace.SpanKindProducer { // the task's row says it
		return ""
	}
	text := fmt.Sprintf("error.type=%s  %s", s.Attributes.get("error.type"), s.Status.Description)
	for _, e := range s.Events {
		if stack := e.Attributes.get("exception.stacktrace"); stack != "" {
			return fmt.Sprintf("%s (%s)", text, panicSite(stack))
		}
	}
	return text
}

// shortID cuts an id to what a person compares.
func shortID(id string) string { return id[:min(8, len(id))] }
