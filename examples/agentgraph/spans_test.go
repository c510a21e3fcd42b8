package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// spans are those of the graph, and those of the background tasks, each in the order of the starts.
type spans struct {
	graph, tasks tracetest.SpanStubs
	byID         map[trace.SpanID]tracetest.SpanStub
}

func newSpans(all tracetest.SpanStubs) spans {
	s := spans{byID: make(map[trace.SpanID]tracetest.SpanStub)}
	slices.SortStableFunc(all, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	for _, span := range all {
		s.byID[span.SpanContext.SpanID()] = span
		switch span.SpanKind {
		case trace.SpanKindConsumer:
			s.tasks = append(s.tasks, span)
		case trace.SpanKindProducer: // "spawn NAME", which the task links to
		default:
			s.graph = append(s.graph, span)
		}
	}
	return s
}

// spawner returns the node's span that a task was spawned in: the parent of "spawn NAME", to which the task links.
func (s spans) spawner(task tracetest.SpanStub) (node tracetest.SpanStub, ok bool) {
	if len(task.Links) == 0 {
		return node, false
	}
	spawn, ok := s.byID[task.Links[0].SpanContext.SpanID()]
	if !ok {
		return node, false
	}
	node, ok = s.byID[spawn.Parent.SpanID()]
	return node, ok
}

func taskNames(f fixture) (names []string) {
	for _, task := range newSpans(f.spans.GetSpans()).tasks {
		names = append(names, task.Name)
	}
	return names
}

// task returns the span of the only task of a name.
func (f fixture) task(t *testing.T, name string) tracetest.SpanStub {
	t.Helper()
	var found tracetest.SpanStubs
	for _, task := range newSpans(f.spans.GetSpans()).tasks {
		if task.Name == name {
			found = append(found, task)
		}
	}
	require.Len(t, found, 1, name)
	return found[0]
}

func attrsOf(s tracetest.SpanStub) map[string]string {
	attrs := make(map[string]string)
	for _, a := range s.Attributes {
		attrs[string(a.Key)] = a.Value.String()
	}
	return attrs
}
