package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// startTroubled starts a service in which all that can be logged of a task is, and ends it with a task left over.
func startTroubled(t *testing.T, r *receiver) *process {
	p := startService(t, r, "-work", "1ms", "-notify-timeout", "20ms", "-stop-tasks", "400ms")
	for _, what := range []trouble{"", slow, silent, declined, broken, stuck} {
		p.order("o-"+string(what), what)
	}
	p.await(func(l line) bool { return l.task("outcome") == "timed_out" })
	p.await(func(l line) bool { return l.msg() == "sending the receipt" && l["order_id"] == "o-stuck" })
	return p
}

// Each line about a task has the ids of that task's own span: those of the manager, and those that the task logs itself.
// Only "created" and "refused" come before there is one, and have the request's.
func TestLinesHaveTheIDsOfTheirTask(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startTroubled(t, r)
	p.stopWithOneLeft()

	spans, requests := r.taskSpans(), map[string]bool{}
	for _, s := range r.named("POST /orders") {
		requests[text(s.GetTraceId())+text(s.GetSpanId())] = true
	}
	seen := map[string]int{}
	for _, l := range p.log(func(l line) bool { return l.task("name") != "" }) {
		seen[l.msg()]++
		if l.msg() == "background task created" {
			assert.True(t, requests[ids(l)], l)
		} else if span := spans[l.task("id")]; span != nil {
			assert.Equal(t, text(span.GetTraceId())+text(span.GetSpanId()), ids(l), l)
		} else {
			assert.Equal(t, "archive_order", l.task("name"), "its span has not ended")
			assert.Len(t, ids(l), 32+16)
		}
	}
	for _, msg := range []string{
		"created", "completed", "failed", "timed out", "cancelled", "left over at the end of the shutdown",
	} {
		assert.Positive(t, seen["background task "+msg], msg)
	}
	receipts := spansByIDs(r.named("send_receipt"))
	for _, l := range p.log(func(l line) bool { return strings.Contains(l.msg(), "receipt") }) { // what the task logs itself
		assert.Equal(t, l["order_id"], attr(receipts[ids(l)].GetAttributes(), "order_id"))
	}
}

// What leaves by OTLP says the same, in the fields that OpenTelemetry has for it.
func TestRecordsHaveTheIDsOfTheirTask(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startTroubled(t, r)
	p.stopWithOneLeft()

	sent := map[string]int{} // by message and ids
	for _, record := range r.allRecords() {
		sent[record.GetBody().GetStringValue()+text(record.GetTraceId())+text(record.GetSpanId())]++
	}
	lines := p.log(func(l line) bool { return l.task("name") != "" || l["order_id"] != nil })
	require.NotEmpty(t, lines)
	for _, l := range lines {
		sent[l.msg()+ids(l)]--
		assert.GreaterOrEqual(t, sent[l.msg()+ids(l)], 0, l)
	}
}

// stopWithOneLeft ends the process where a task is stuck.
func (p *process) stopWithOneLeft() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(p.t, 1, p.exitCode())
}

func ids(l line) string {
	traceID, _ := l["trace_id"].(string)
	spanID, _ := l["span_id"].(string)
	return traceID + spanID
}

func spansByIDs(spans []*tracepb.Span) map[string]*tracepb.Span {
	found := map[string]*tracepb.Span{}
	for _, s := range spans {
		found[text(s.GetTraceId())+text(s.GetSpanId())] = s
	}
	return found
}

// inMemory is a processor that keeps the records as the SDK has them.
type inMemory struct {
	mu      sync.Mutex
	records []sdklog.Record
}

func (m *inMemory) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

func (m *inMemory) OnEmit(_ context.Context, r *sdklog.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, r.Clone())
	return nil
}

func (m *inMemory) Shutdown(context.Context) error   { return nil }
func (m *inMemory) ForceFlush(context.Context) error { return nil }

// The same within one process, without OTLP: a record has the span and its sampling.
func TestRecordsInMemory(t *testing.T) {
	t.Parallel()
	spans, records := tracetest.NewSpanRecorder(), new(inMemory)
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	logger := newLogger(newLines(io.Discard), sdklog.NewLoggerProvider(sdklog.WithProcessor(records)))
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp))), core.WithLogger(logger))
	tasks.Go(t.Context(), "job", func(ctx context.Context) error {
		logger.With("step", 1).WithGroup("g").InfoContext(ctx, "working", "k", "v")
		return errors.New("no")
	}, core.WithAttrs(slog.String("order_id", "o-1")))
	require.NoError(t, tasks.Wait(t.Context()))

	require.Len(t, spans.Ended(), 1)
	span := spans.Ended()[0].SpanContext()
	require.Len(t, records.records, 3)
	bodies := map[string]bool{}
	for _, r := range records.records {
		body := r.Body().AsString()
		bodies[body] = true
		if body == "background task created" { // there was no span around Go
			assert.False(t, r.TraceID().IsValid())
			continue
		}
		assert.Equal(t, span.TraceID(), r.TraceID(), body)
		assert.Equal(t, span.SpanID(), r.SpanID(), body)
		assert.True(t, r.TraceFlags().IsSampled(), body)
	}
	assert.Contains(t, bodies, "working")
	assert.Contains(t, bodies, "background task failed")
}
