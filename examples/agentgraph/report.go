package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// report prints what the run has left behind.
func report(ctx context.Context, out io.Writer, t *telemetry, hook *receiver, stats closeStats) error {
	newSpans(t.spans.GetSpans()).print(out)
	if err := printCounters(ctx, out, t); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nWhat the webhook got:")
	for _, n := range hook.received() {
		fmt.Fprintf(out, "   from %s of %s: %s\n", n.NodeName, n.ThreadID, firstLine(n.Answer))
	}
	text, err := json.MarshalIndent(stats, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nWhat the close of the graph returned:\n%s\n", text)
	return err
}

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

func (s spans) print(out io.Writer) {
	if len(s.graph) == 0 {
		return
	}
	root := s.graph[0]
	fmt.Fprintf(out, "\nThe agent's trace %s, and the tasks that each span of it has spawned:\n", shortTrace(root))
	fmt.Fprintf(out, "   %-34s %8s %9s  %s\n", "SPAN", "TOOK", "ENDED", "SPAWNED")
	for _, span := range s.graph {
		fmt.Fprintf(out, "   %-34s %8s %9s  %s\n", strings.Repeat("  ", s.depth(span))+span.Name,
			inWords(span.EndTime.Sub(span.StartTime)), "+"+inWords(span.EndTime.Sub(root.StartTime)), s.spawned(span))
	}
	fmt.Fprintln(out, "\nIts background tasks, each with a trace of its own that links to the node:")
	fmt.Fprintf(out, "   %-8s  %-16s %-10s %8s %9s  %s\n", "TRACE", "TASK", "OUTCOME", "TOOK", "ENDED", "LINKED TO")
	for _, task := range s.tasks {
		if task.Name != publishTask {
			s.printTask(out, task, root.StartTime)
		}
	}
	s.printEvents(out, shortTrace(root))
}

// publishTask is what package publisher calls its tasks. There are many.
const publishTask = "publish_event"

func (s spans) printTask(out io.Writer, task tracetest.SpanStub, zero time.Time) {
	to := "nothing"
	if node, ok := s.spawner(task); ok {
		to = fmt.Sprintf("%s, trace %s span %s", node.Name, shortTrace(node), node.SpanContext.SpanID().String()[:8])
	}
	fmt.Fprintf(out, "   %-8s  %-16s %-10s %8s %9s  ← %s\n", shortTrace(task), task.Name, outcomeOf(task),
		inWords(task.EndTime.Sub(task.StartTime)), "+"+inWords(task.EndTime.Sub(zero)), to)
	if task.Status.Description != "" {
		fmt.Fprintln(out, "             ", task.Status.Description)
	}
}

// printEvents sums up the tasks that published, in one line for each outcome.
func (s spans) printEvents(out io.Writer, traceID string) {
	counts := make(map[string]int)
	nodes := make(map[trace.SpanID]bool)
	for _, task := range s.tasks {
		if node, ok := s.spawner(task); ok && task.Name == publishTask {
			counts[outcomeOf(task)]++
			nodes[node.SpanContext.SpanID()] = true
		}
	}
	for _, outcome := range sortedKeys(counts) {
		label := fmt.Sprintf("%d %s", counts[outcome], publishTask)
		fmt.Fprintf(out, "   %-8s  %-16s %-10s %18s  ← %d spans of trace %s\n", "…", label, outcome, "", len(nodes), traceID)
	}
}

// spawned says what tasks a span has spawned, such as "collect_metrics, notify, 2 publish_event".
func (s spans) spawned(span tracetest.SpanStub) string {
	counts := make(map[string]int)
	for _, task := range s.tasks {
		if node, ok := s.spawner(task); ok && node.SpanContext.SpanID() == span.SpanContext.SpanID() {
			counts[task.Name]++
		}
	}
	var parts []string
	for _, name := range sortedKeys(counts) {
		if counts[name] > 1 {
			name = fmt.Sprintf("%d %s", counts[name], name)
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ", ")
}

func (s spans) depth(span tracetest.SpanStub) (depth int) {
	for parent, ok := s.byID[span.Parent.SpanID()]; ok; parent, ok = s.byID[parent.Parent.SpanID()] {
		depth++
	}
	return depth
}

func outcomeOf(task tracetest.SpanStub) string {
	for _, a := range task.Attributes {
		if a.Key == "afterspan.task.outcome" {
			return a.Value.AsString()
		}
	}
	return ""
}

func shortTrace(s tracetest.SpanStub) string { return s.SpanContext.TraceID().String()[:8] }

func firstLine(text string) string {
	first, rest, _ := strings.Cut(text, "\n")
	if rest != "" {
		first += " …"
	}
	return first
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func inWords(d time.Duration) string {
	return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
}
