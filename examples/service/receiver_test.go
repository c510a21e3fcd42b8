package main

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A receiver is an OTLP/HTTP endpoint, as a collector has it, that keeps what it receives.
type receiver struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	spans    []*tracepb.Span
	records  []*logspb.LogRecord
	services []string // that sent anything
}

func startReceiver(t *testing.T) *receiver {
	r := &receiver{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, req *http.Request) {
		var got collectortrace.ExportTraceServiceRequest
		if r.read(req, &got) {
			r.addSpans(&got)
		}
		r.answer(w, &collectortrace.ExportTraceServiceResponse{})
	})
	mux.HandleFunc("POST /v1/logs", func(w http.ResponseWriter, req *http.Request) {
		var got collectorlogs.ExportLogsServiceRequest
		if r.read(req, &got) {
			r.addRecords(&got)
		}
		r.answer(w, &collectorlogs.ExportLogsServiceResponse{})
	})
	r.server = httptest.NewServer(mux)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) url() string { return r.server.URL }

func (r *receiver) read(req *http.Request, into proto.Message) bool {
	assert.Equal(r.t, "application/x-protobuf", req.Header.Get("Content-Type"))
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(req.Body)
		if !assert.NoError(r.t, err) {
			return false
		}
		body = unzipped
	}
	content, err := io.ReadAll(body)
	return assert.NoError(r.t, err) && assert.NoError(r.t, proto.Unmarshal(content, into))
}

func (r *receiver) answer(w http.ResponseWriter, m proto.Message) {
	content, err := proto.Marshal(m)
	assert.NoError(r.t, err)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(content)
}

func (r *receiver) addSpans(got *collectortrace.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range got.GetResourceSpans() {
		r.services = append(r.services, attr(resource.GetResource().GetAttributes(), "service.name"))
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

func (r *receiver) addRecords(got *collectorlogs.ExportLogsServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range got.GetResourceLogs() {
		r.services = append(r.services, attr(resource.GetResource().GetAttributes(), "service.name"))
		for _, scope := range resource.GetScopeLogs() {
			r.records = append(r.records, scope.GetLogRecords()...)
		}
	}
}

func (r *receiver) allRecords() []*logspb.LogRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// named returns the spans of that name.
func (r *receiver) named(name string) (found []*tracepb.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.GetName() == name {
			found = append(found, s)
		}
	}
	return found
}

// one returns the only span of that name.
func (r *receiver) one(name string) *tracepb.Span {
	r.t.Helper()
	found := r.named(name)
	require.Len(r.t, found, 1, name)
	return found[0]
}

// taskSpans returns the spans of tasks by afterspan.task.id.
func (r *receiver) taskSpans() map[string]*tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]*tracepb.Span{}
	for _, s := range r.spans {
		if s.GetKind() == tracepb.Span_SPAN_KIND_CONSUMER {
			found[attr(s.GetAttributes(), "afterspan.task.id")] = s
		}
	}
	return found
}

// attr returns an attribute as text, and "" where there is none.
func attr(attrs []*commonpb.KeyValue, key string) string {
	for _, one := range attrs {
		if one.GetKey() != key {
			continue
		}
		if number, ok := one.GetValue().GetValue().(*commonpb.AnyValue_IntValue); ok {
			return strconv.FormatInt(number.IntValue, 10)
		}
		return one.GetValue().GetStringValue()
	}
	return ""
}

// linksTo reports whether a span has a link to another one.
func linksTo(from, to *tracepb.Span) bool {
	return slices.ContainsFunc(from.GetLinks(), func(l *tracepb.Span_Link) bool {
		return string(l.GetTraceId()) == string(to.GetTraceId()) && string(l.GetSpanId()) == string(to.GetSpanId())
	})
}

func text(id []byte) string { return hex.EncodeToString(id) }
