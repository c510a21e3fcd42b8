package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Jaeger's pages are made from: /api/traces.
type (
	apiTrace struct {
		TraceID   string
		Spans     []apiSpan
		Processes map[string]struct{ ServiceName string }
		Warnings  []string
	}
	apiSpan struct {
		TraceID, SpanID, OperationName, ProcessID string
		StartTime, Duration                       int64 // µs
		References                                []apiReference
		Tags                                      []apiTag
		Logs                                      []struct{ Fields []apiTag }
		Warnings                                  []string
	}
	apiReference struct{ RefType, TraceID, SpanID string }
	apiTag       struct {
		Key   string
		Value any
	}
)

const (
	childOf     = "CHILD_OF"
	followsFrom = "FOLLOWS_FROM"
)

// What OpenTelemetry's own format has to say, and the pages do not show: /api/v3/traces.
type (
	otlpSpan struct {
		TraceID, SpanID, ParentSpanID, Name string
		Kind                                int
		Links                               []otlpLink
		Events                              []struct{ Name string }
		Status                              struct {
			Code    int
			Message string
		}
	}
	otlpLink struct {
		TraceID, SpanID string
		Attributes      []otlpAttribute
	}
	otlpAttribute struct {
		Key   string
		Value struct{ StringValue string }
	}
	otlpTraces struct {
		Result struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []otlpSpan }
			}
		}
	}
)

// The numbers of the OTLP protocol.
const (
	otlpProducer    = 4
	otlpConsumer    = 5
	otlpStatusError = 2
)

// get asks for what has n traces, and asks again until it has: Jaeger may take in spans after it has said that it has them.
func (j jaeger) get(t *testing.T, path string, query url.Values, n int) (traces []apiTrace) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var answer struct{ Data []apiTrace }
		getJSON(c, j.ui+path+"?"+query.Encode(), &answer)
		traces = answer.Data
		assert.Len(c, traces, n, "%s?%v", path, query)
	}, 10*time.Second, 20*time.Millisecond)
	return traces
}

// search asks as the search page does. It finds those traces that have one span with all of it.
func (j jaeger) search(t *testing.T, operation string, tags map[string]string, n int) []apiTrace {
	t.Helper()
	query := url.Values{"service": {serviceName}, "limit": {"5000"}}
	if operation != "" {
		query.Set("operation", operation)
	}
	if tags != nil {
		encoded, err := json.Marshal(tags)
		require.NoError(t, err)
		query.Set("tags", string(encoded))
	}
	return j.get(t, "/api/traces", query, n)
}

// otlp returns a trace as /api/v3 has it, once it has n spans.
func (j jaeger) otlpTrace(t *testing.T, id string, n int) (spans []otlpSpan) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var answer otlpTraces
		getJSON(c, j.ui+"/api/v3/traces/"+id, &answer)
		spans = nil
		for _, resource := range answer.Result.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				spans = append(spans, scope.Spans...)
			}
		}
		assert.Len(c, spans, n, id)
	}, 10*time.Second, 20*time.Millisecond)
	return spans
}

func getJSON(t require.TestingT, url string, into any) {
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, url)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
}

// one returns the span of a name, of which there must be no other.
func (tr apiTrace) one(t *testing.T, name string) apiSpan {
	t.Helper()
	var found []apiSpan
	for _, s := range tr.Spans {
		if s.OperationName == name {
			found = append(found, s)
		}
	}
	require.Len(t, found, 1, name)
	return found[0]
}

// names returns the names of the spans, sorted.
func (tr apiTrace) names() (names []string) {
	for _, s := range tr.Spans {
		names = append(names, s.OperationName)
	}
	slices.Sort(names)
	return names
}

// root returns the span without a parent, of which there must be no other.
func (tr apiTrace) root(t *testing.T) apiSpan {
	t.Helper()
	var roots []apiSpan
	for _, s := range tr.Spans {
		if len(s.references(childOf)) == 0 {
			roots = append(roots, s)
		}
	}
	require.Len(t, roots, 1)
	return roots[0]
}

func (s apiSpan) references(refType string) (found []apiReference) {
	for _, r := range s.References {
		if r.RefType == refType {
			found = append(found, r)
		}
	}
	return found
}

// to returns the reference to this span.
func (s apiSpan) to(refType string) []apiReference {
	return []apiReference{{refType, s.TraceID, s.SpanID}}
}

// end returns when the span ended, in µs.
func (s apiSpan) end() int64 { return s.StartTime + s.Duration }

// tag returns a tag's value in words, or "".
func (s apiSpan) tag(key string) string { return valueOf(s.Tags, key) }

func valueOf(tags []apiTag, key string) string {
	for _, tag := range tags {
		if tag.Key == key {
			return fmt.Sprint(tag.Value)
		}
	}
	return ""
}
