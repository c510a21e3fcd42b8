package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// expected is what becomes of each of the agent's tasks.
var expected = []struct {
	name, node string
	outcome    string
	errorType  string   // "": its span is no error
	message    string   // how the text of the error begins, if that is ours
	inside     []string // the spans that it has in its trace
}{
	{name: "load_profile", node: "plan", outcome: "completed"},
	{name: "index_documents", node: "search", outcome: "completed", inside: []string{"embed"}},
	{name: "write_transcript", node: "answer", outcome: "failed", errorType: "syscall.Errno"},
	{name: "score_sources", node: "answer", outcome: "failed", errorType: "panic", message: "panic: "},
	{name: "notify", node: "answer", outcome: "timed_out", errorType: "timeout", message: "afterspan: task timed out"},
	{name: "await_feedback", node: "answer", outcome: "cancelled"},
}

var agentPage = regexp.MustCompile(`the agent +\S+/trace/(\w{32})\n`)

// runAgainst runs the example, and returns what it prints and the ids of the agents' traces.
func runAgainst(t *testing.T, j jaeger, args ...string) (out string, agents []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{"-ui", j.ui, "-think", "0"}, args...)
	require.NoError(t, run(t.Context(), args, &stdout, &stderr))
	for _, match := range agentPage.FindAllStringSubmatch(stdout.String(), -1) {
		agents = append(agents, match[1])
	}
	return stdout.String(), agents
}

func TestLinkedTasksInJaeger(t *testing.T) {
	j := startJaeger(t)
	out, agents := runAgainst(t, j, "-endpoint", j.otlp, "-n", "2") // the second is what must not be found with the first
	require.Len(t, agents, 2)
	spawned := map[string]string{"afterspan.spawner.trace_id": agents[0]}
	j.search(t, "", nil, 2*(1+len(expected)))
	j.otlpTrace(t, agents[0], 4+len(expected)) // all has arrived
	agent := j.get(t, "/api/traces/"+agents[0], nil, 1)[0]

	t.Run("the agent's trace has its own spans and one for each spawn", func(t *testing.T) {
		names := []string{"invoke_agent docs_agent", "plan", "search", "answer"}
		for _, task := range expected {
			names = append(names, "spawn "+task.name)
		}
		assert.ElementsMatch(t, names, agent.names())
		assert.Equal(t, "invoke_agent docs_agent", agent.root(t).OperationName)
		assertNoWarnings(t, agent)
	})
	for _, want := range expected {
		t.Run(want.name, func(t *testing.T) {
			task := j.search(t, want.name, spawned, 1)[0]
			spawn := agent.one(t, "spawn "+want.name)
			root := task.root(t)

			t.Run("has a trace of its own with its name", func(t *testing.T) {
				assert.NotEqual(t, agents[0], task.TraceID)
				assert.Equal(t, want.name, root.OperationName)
				assert.ElementsMatch(t, append([]string{want.name}, want.inside...), task.names())
				assert.Equal(t, serviceName, task.Processes[root.ProcessID].ServiceName)
				assertNoWarnings(t, task)
			})
			t.Run("refers to the agent's trace and the agent's trace to it", func(t *testing.T) {
				assert.Equal(t, agents[0], spawn.TraceID)
				assert.Equal(t, agent.one(t, want.node).to(childOf), spawn.references(childOf))
				assert.Equal(t, spawn.to(followsFrom), root.References)
				assert.Equal(t, root.to(followsFrom), spawn.references(followsFrom))
			})
			t.Run("says who spawned it and what became of it", func(t *testing.T) {
				assert.Equal(t, agents[0], root.tag("afterspan.spawner.trace_id"))
				assert.Equal(t, agent.one(t, want.node).SpanID, root.tag("afterspan.spawner.span_id"))
				assert.Equal(t, agents[0], root.tag("afterspan.origin.trace_id"))
				assertTaskTags(t, root, want.name, want.outcome)
				assertErrorTags(t, root, want.errorType, want.message)
			})
			t.Run("tells what became of it in the agent's trace", func(t *testing.T) {
				assert.Equal(t, want.outcome, spawn.tag("afterspan.task.outcome"))
				assertErrorTags(t, spawn, want.errorType, want.message)
			})
			t.Run("is the same to OpenTelemetry", func(t *testing.T) {
				forward := find(t, j.otlpTrace(t, agents[0], len(agent.Spans)), "spawn "+want.name)
				back := find(t, j.otlpTrace(t, task.TraceID, 1+len(want.inside)), want.name)
				assert.Equal(t, otlpProducer, forward.Kind)
				assert.Equal(t, otlpConsumer, back.Kind)
				assert.Empty(t, back.ParentSpanID)
				assert.Equal(t, []otlpLink{linkTo(back, "task")}, forward.Links)
				assert.Equal(t, []otlpLink{linkTo(forward, "spawner")}, back.Links)
				for _, span := range []otlpSpan{forward, back} {
					assert.Equal(t, want.errorType != "", span.Status.Code == otlpStatusError)
					assert.True(t, strings.HasPrefix(span.Status.Message, want.message), span.Status.Message)
				}
			})
		})
	}
	t.Run("the agent's trace alone says which tasks failed, and why", func(t *testing.T) {
		failed := map[string]string{}
		for _, s := range agent.Spans {
			if s.tag("error") == "true" {
				failed[s.OperationName] = s.tag("error.type")
			}
		}
		assert.Equal(t, map[string]string{
			"spawn write_transcript": "syscall.Errno", "spawn score_sources": "panic", "spawn notify": "timeout",
		}, failed)
	})
	t.Run("the agent's trace looks no longer than the agent ran", func(t *testing.T) {
		root := agent.root(t)
		for _, s := range agent.Spans {
			assert.LessOrEqual(t, s.end(), root.end()+1, s.OperationName) // Jaeger rounds start and duration
		}
	})
	t.Run("a panic has its stack as a log of the span", func(t *testing.T) {
		logs := j.search(t, "score_sources", spawned, 1)[0].root(t).Logs
		require.Len(t, logs, 1)
		assert.Equal(t, "exception", valueOf(logs[0].Fields, "event"))
		assert.NotEmpty(t, valueOf(logs[0].Fields, "exception.message"))
		assert.Contains(t, valueOf(logs[0].Fields, "exception.stacktrace"), "examples/jaeger/tasks.go:")
	})
	t.Run("the printed pages show the agent and its tasks", func(t *testing.T) {
		page := regexp.MustCompile(`its tasks +\S+/search\?(\S+)`).FindStringSubmatch(out)
		require.Len(t, page, 2)
		query, err := url.ParseQuery(page[1])
		require.NoError(t, err)
		assert.ElementsMatch(t, taskNames(), rootNames(t, j.get(t, "/api/traces", query, len(expected)))) // as the page does
	})
	checkSearches(t, j, agents[0])
}

// Jaeger takes the configuration that docs/ offers, and hands it to its pages. Each search in it finds what it says.
func TestPagesOfJaegerLinkTasksWithWhatStartedThem(t *testing.T) {
	j := startJaeger(t)
	_, agents := runAgainst(t, j, "-endpoint", j.otlp)
	config, err := os.ReadFile("../../docs/jaeger-ui.json")
	require.NoError(t, err)
	var ui struct {
		LinkPatterns []struct{ Type, URL, Text string }
	}
	require.NoError(t, json.Unmarshal(config, &ui))
	finds := map[string][]string{
		"Tasks that came from this trace, within an hour":        taskNames(),
		"Failed tasks that came from this trace, within an hour": {"write_transcript", "score_sources"},
	}
	trace := j.search(t, "invoke_agent docs_agent", nil, 1)[0].root(t)
	for _, link := range ui.LinkPatterns {
		if link.Type != "traces" {
			continue
		}
		link.URL = strings.NewReplacer("#{traceID}", agents[0], "my-service", serviceName,
			"#{startTime}", fmt.Sprint(trace.StartTime), "#{endTime | add 3600000000}", fmt.Sprint(trace.end()+3600_000_000)).Replace(link.URL)
		page, err := url.Parse(link.URL)
		require.NoError(t, err)
		require.Contains(t, finds, link.Text)
		assert.ElementsMatch(t, finds[link.Text], rootNames(t, j.get(t, "/api/traces", page.Query(), len(finds[link.Text]))), link.Text)
		delete(finds, link.Text)
	}
	assert.Empty(t, finds)
}

// checkSearches checks that each task is found by what an operator would look for. There are two agents.
func checkSearches(t *testing.T, j jaeger, agent string) {
	failing := []string{"write_transcript", "score_sources"}
	agents := []string{"invoke_agent docs_agent", "invoke_agent docs_agent"}
	for _, search := range []struct {
		by        string
		operation string
		tags      map[string]string
		finds     []string
	}{
		{by: "operation", operation: "notify", finds: []string{"notify", "notify"}},
		{by: "outcome, with their agents", tags: map[string]string{"afterspan.task.outcome": "failed"}, finds: slices.Concat(failing, failing, agents)},
		{
			by: "outcome and conversation", tags: map[string]string{"afterspan.task.outcome": "failed", "thread_id": "thread-1"},
			finds: failing,
		},
		{by: "conversation", tags: map[string]string{"thread_id": "thread-2"}, finds: taskNames()},
		{by: "spawner", tags: map[string]string{"afterspan.spawner.trace_id": agent}, finds: taskNames()},
		{by: "origin", tags: map[string]string{"afterspan.origin.trace_id": agent}, finds: taskNames()},
		{by: "kind of error", tags: map[string]string{"error.type": "timeout"}, finds: append([]string{"notify", "notify"}, agents...)},
		{
			by: "operation and kind of error", operation: "score_sources",
			tags: map[string]string{"error.type": "panic", "thread_id": "thread-2"}, finds: []string{"score_sources"},
		},
		{by: "what is not there", tags: map[string]string{"thread_id": "thread-3"}},
	} {
		t.Run("tasks are found by "+search.by, func(t *testing.T) {
			traces := j.search(t, search.operation, search.tags, len(search.finds))
			assert.ElementsMatch(t, search.finds, rootNames(t, traces))
		})
	}
}

// linkTo returns a link to s that says what it leads to.
func linkTo(s otlpSpan, kind string) otlpLink {
	a := otlpAttribute{Key: "afterspan.link.kind"}
	a.Value.StringValue = kind
	return otlpLink{TraceID: s.TraceID, SpanID: s.SpanID, Attributes: []otlpAttribute{a}}
}

func taskNames() (names []string) {
	for _, task := range expected {
		names = append(names, task.name)
	}
	return names
}

func rootNames(t *testing.T, traces []apiTrace) (names []string) {
	t.Helper()
	for _, tr := range traces {
		names = append(names, tr.root(t).OperationName)
	}
	return names
}

func find(t *testing.T, spans []otlpSpan, name string) otlpSpan {
	t.Helper()
	for _, s := range spans {
		if s.Name == name {
			return s
		}
	}
	require.Fail(t, "there is no span "+name)
	return otlpSpan{}
}

func assertTaskTags(t *testing.T, s apiSpan, name, outcome string) {
	t.Helper()
	assert.Equal(t, name, s.tag("afterspan.task.name"))
	assert.Equal(t, outcome, s.tag("afterspan.task.outcome"))
	assert.Equal(t, "thread-1", s.tag("thread_id"))
	assert.Equal(t, "consumer", s.tag("span.kind"))
}

// assertErrorTags checks what Jaeger makes of the span's status. Without an error none of it may be there.
func assertErrorTags(t *testing.T, s apiSpan, errorType, message string) {
	t.Helper()
	assert.Equal(t, errorType, s.tag("error.type"))
	if errorType == "" {
		assert.Empty(t, s.tag("error"))
		assert.Empty(t, s.tag("otel.status_code"))
		return
	}
	assert.Equal(t, "true", s.tag("error"))
	assert.Equal(t, "ERROR", s.tag("otel.status_code"))
	assert.True(t, strings.HasPrefix(s.tag("otel.status_description"), message), s.tag("otel.status_description"))
}

// assertNoWarnings checks that Jaeger finds nothing wrong, such as a parent that is missing or a link that is not valid.
func assertNoWarnings(t *testing.T, tr apiTrace) {
	t.Helper()
	assert.Empty(t, tr.Warnings)
	for _, s := range tr.Spans {
		assert.Empty(t, s.Warnings, s.OperationName)
	}
}
