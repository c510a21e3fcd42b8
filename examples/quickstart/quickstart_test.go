package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

const (
	testFolder   = "testdata/docs"
	testQuestion = "What happens to the kettle's pressure at shutdown?"
	testSentence = "When the pressure is too high, the valve opens and the kettle starts its shutdown at once."
)

// recording is one run of the agent, and all that it left behind.
type recording struct {
	spans  []sdktrace.ReadOnlySpan
	logs   []map[string]any
	stats  core.ShutdownStats
	out    string
	outDir string
}

func record(t *testing.T) recording {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	r := recording{outDir: t.TempDir()}
	var out, logs bytes.Buffer
	stats, err := answerQuestion(t.Context(), options{question: testQuestion, folder: testFolder, outDir: r.outDir},
		tp, slog.NewJSONHandler(&logs, nil), &out)
	require.NoError(t, err)

	r.spans, r.stats, r.out = recorder.Ended(), stats, out.String()
	for line := range strings.Lines(logs.String()) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		r.logs = append(r.logs, record)
	}
	return r
}

// named returns the spans of a name, in the order in which they ended.
func (r recording) named(name string) (spans []sdktrace.ReadOnlySpan) {
	for _, s := range r.spans {
		if s.Name() == name {
			spans = append(spans, s)
		}
	}
	return spans
}

func (r recording) one(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := r.named(name)
	require.Len(t, spans, 1, name)
	return spans[0]
}

func attrsOf(s sdktrace.ReadOnlySpan) map[attribute.Key]any {
	attrs := make(map[attribute.Key]any)
	for _, a := range s.Attributes() {
		attrs[a.Key] = a.Value.AsInterface()
	}
	return attrs
}

func TestAgent(t *testing.T) {
	t.Parallel()
	r := record(t)

	t.Run("agent span", func(t *testing.T) {
		span := r.one(t, "invoke_agent docs_agent")
		assert.False(t, span.Parent().IsValid())
		assert.Equal(t, trace.SpanKindInternal, span.SpanKind())
		assert.Equal(t, map[attribute.Key]any{
			"gen_ai.operation.name":  "invoke_agent",
			"gen_ai.agent.name":      "docs_agent",
			"gen_ai.conversation.id": "thread-1",
		}, attrsOf(span))
		assert.Equal(t, codes.Unset, span.Status().Code)
	})
	t.Run("tool spans", func(t *testing.T) {
		for tool, node := range map[string]string{"list_files": "plan", "read_files": "search", "scan": "search"} {
			span := r.one(t, "execute_tool "+tool)
			assert.Equal(t, r.one(t, node).SpanContext(), span.Parent(), tool)
			assert.Equal(t, map[attribute.Key]any{
				"gen_ai.operation.name": "execute_tool",
				"gen_ai.tool.name":      tool,
				"gen_ai.tool.type":      "function",
			}, attrsOf(span))
		}
	})
	t.Run("nodes", func(t *testing.T) {
		agent := r.one(t, "invoke_agent docs_agent")
		for _, node := range []string{"plan", "search", "answer"} {
			assert.Equal(t, agent.SpanContext(), r.one(t, node).Parent(), node)
		}
	})
	t.Run("tasks", func(t *testing.T) { checkTasks(t, r) })
	t.Run("answer", func(t *testing.T) {
		assert.Contains(t, strings.Join(strings.Fields(r.out), " "), "A: "+testSentence)
		assert.Contains(t, r.out, filepath.FromSlash("Shutdown under pressure, testdata/docs/shutdown.md:5"))
	})
	t.Run("files", func(t *testing.T) { checkFiles(t, r.outDir) })
	t.Run("logs", func(t *testing.T) { checkLogs(t, r) })
	t.Run("shutdown", func(t *testing.T) {
		s := r.stats
		assert.Equal(t, "completed", s.Status)
		assert.Zero(t, s.RemainingTasks)
		assert.Equal(t, s.InitialTasks, s.CompletedTasks+s.FailedTasks+s.TimedOutTasks)
	})
}

// checkTasks checks each task against the node that spawned it, by span ids.
func checkTasks(t *testing.T, r recording) {
	for _, want := range []struct {
		task, node, outcome, errorType string
	}{
		{"publish_event", "plan", "completed", ""},
		{"publish_event", "search", "completed", ""},
		{"publish_event", "answer", "completed", ""},
		{"index_documents", "search", "completed", ""},
		{"write_transcript", "answer", "completed", ""},
		{"notify", "answer", "timed_out", "timeout"},
		{"score_sources", "answer", "failed", "panic"},
	} {
		t.Run(want.task+" of "+want.node, func(t *testing.T) {
			node := r.one(t, want.node)
			spawn := childNamed(t, r, node, "spawn "+want.task)
			assert.Equal(t, trace.SpanKindProducer, spawn.SpanKind())
			require.Len(t, spawn.Links(), 1)

			task := linkedTo(t, r, want.task, spawn)
			assert.Equal(t, spawn.Links()[0].SpanContext, task.SpanContext(), "the spawn's link leads to the task")
			assert.Equal(t, trace.SpanKindConsumer, task.SpanKind())
			assert.False(t, task.Parent().IsValid())
			assert.NotEqual(t, node.SpanContext().TraceID(), task.SpanContext().TraceID())

			attrs := attrsOf(task)
			assert.Equal(t, want.outcome, attrs["afterspan.task.outcome"])
			assert.Equal(t, "thread-1", attrs["thread_id"])
			assert.Equal(t, node.SpanContext().SpanID().String(), attrs["afterspan.spawner.span_id"])
			if want.errorType == "" {
				assert.NotContains(t, attrs, attribute.Key("error.type"))
				assert.Equal(t, codes.Unset, task.Status().Code)
			} else {
				assert.Equal(t, want.errorType, attrs["error.type"])
				assert.Equal(t, codes.Error, task.Status().Code)
			}
		})
	}
	assert.Len(t, r.named("publish_event"), 3)

	index, answer := r.one(t, "index_documents"), r.one(t, "answer")
	assert.False(t, index.EndTime().After(answer.EndTime()), "the answer waits for the index")
}

func childNamed(t *testing.T, r recording, parent sdktrace.ReadOnlySpan, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	for _, s := range r.named(name) {
		if s.Parent().Equal(parent.SpanContext()) {
			return s
		}
	}
	require.Failf(t, "no such span", "%s under %s", name, parent.Name())
	return nil
}

// linkedTo returns the one span of that name which has one link, and that to other.
func linkedTo(t *testing.T, r recording, name string, other sdktrace.ReadOnlySpan) (found sdktrace.ReadOnlySpan) {
	t.Helper()
	for _, s := range r.named(name) {
		require.Len(t, s.Links(), 1, name)
		if s.Links()[0].SpanContext.Equal(other.SpanContext()) {
			require.Nil(t, found, "two spans with a link to the same spawn")
			found = s
		}
	}
	require.NotNil(t, found, "no %s linked to its spawn", name)
	return found
}

func checkFiles(t *testing.T, outDir string) {
	content, err := os.ReadFile(filepath.Join(outDir, "transcript.json"))
	require.NoError(t, err)
	var transcript []message
	require.NoError(t, json.Unmarshal(content, &transcript))
	roles := make([]string, len(transcript))
	for i, m := range transcript {
		roles[i] = strings.TrimSpace(m.Role + " " + m.Name)
	}
	assert.Equal(t, []string{"user", "tool list_files", "tool read_files", "tool scan", "assistant docs_agent"}, roles)
	assert.Equal(t, testQuestion, transcript[0].Content)
	assert.Contains(t, transcript[4].Content, testSentence)

	content, err = os.ReadFile(filepath.Join(outDir, "events.jsonl"))
	require.NoError(t, err)
	var types []publisher.Type
	for line := range strings.Lines(string(content)) {
		var e publisher.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		assert.Equal(t, "thread-1", e.ThreadID)
		types = append(types, e.Type)
	}
	assert.Equal(t, []publisher.Type{publisher.TypeStart, publisher.TypeProgress, publisher.TypeResult}, types)
}

// checkLogs checks that the lines about what went wrong lead to the spans of those tasks.
func checkLogs(t *testing.T, r recording) {
	about := make(map[string]map[string]any)
	for _, record := range r.logs {
		if task, ok := record["task"].(map[string]any); ok {
			about[task["name"].(string)] = record
		}
	}
	for name, level := range map[string]string{"notify": "WARN", "score_sources": "ERROR"} {
		span, record := r.one(t, name).SpanContext(), about[name]
		require.NotNil(t, record, name)
		assert.Equal(t, level, record["level"])
		assert.Equal(t, "thread-1", record["thread_id"])
		assert.Equal(t, span.TraceID().String(), record["trace_id"])
		assert.Equal(t, span.SpanID().String(), record["span_id"])
	}
	assert.Len(t, about, 2, "what went well is logged at DEBUG")
}

func TestRunPrintsTrees(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-q", testQuestion, "-out", t.TempDir(), testFolder}, &stdout, &stderr))
	assert.Empty(t, stderr.String())

	out := stdout.String()
	for _, want := range []string{
		"Q: " + testQuestion,
		"invoke_agent docs_agent",
		"├─ search",
		"└─ spawn score_sources",
		"← spawn write_transcript, trace ",
		"error.type=timeout  ",
		"error.type=panic  panic: ",
		"stack=tasks.go:",
		`"status": "completed"`,
	} {
		assert.Contains(t, out, want)
	}
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "transcript and the events") { // a path of any length
			assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), columns, line)
		}
	}
}

func TestRunPrintsRawSpans(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	args := []string{"-raw", "-q", testQuestion, "-out", t.TempDir(), testFolder}
	require.NoError(t, run(t.Context(), args, &stdout, &stderr))

	spans, err := readSpans(&stdout)
	require.NoError(t, err, "stdout is for spans alone")
	outcomes := make(map[string]int)
	for _, s := range spans {
		if s.isTask() {
			outcomes[s.outcome()]++
		}
	}
	assert.Equal(t, map[string]int{"completed": 5, "timed_out": 1, "failed": 1}, outcomes)
	assert.Contains(t, stderr.String(), "Q: "+testQuestion)
}

func TestRunWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-q", "zeppelin", "-out", t.TempDir(), testFolder}, &stdout, io.Discard))
	assert.Contains(t, stdout.String(), "A: Nothing in 9 sections has to do with it.")
}

func TestRunBadInput(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	file := filepath.Join(testFolder, "guide.md")
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":             {[]string{"-h"}, 0, "Usage: quickstart"},
		"unknown flag":     {[]string{"-colour"}, 2, "Usage: quickstart"},
		"two folders":      {[]string{"a", "b"}, 2, "one folder at most"},
		"flag after":       {[]string{testFolder, "-raw"}, 2, "flags come before"},
		"empty question":   {[]string{"-q", " "}, 2, "the question is empty"},
		"no words":         {[]string{"-q", "what is it?", "-out", empty, testFolder}, 1, "no word to look for"},
		"folder missing":   {[]string{"testdata/missing"}, 1, "opening the folder of the documents"},
		"folder is a file": {[]string{file}, 1, "opening the folder of the documents"},
		"no documents":     {[]string{"-out", empty, empty}, 1, empty + ": nothing to read"},
		"out is a file":    {[]string{"-out", file, testFolder}, 1, "the folder for the output"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), tc.args, &stdout, &stderr)
			assert.ErrorContains(t, err, tc.want)
			assert.Equal(t, tc.code, exitCode(err))
			assert.Empty(t, stdout.String())
			assert.Empty(t, stderr.String())
		})
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var stdout, stderr bytes.Buffer
	err := run(ctx, []string{"-out", t.TempDir(), testFolder}, &stdout, &stderr)
	assert.ErrorIs(t, err, context.Canceled)
}
