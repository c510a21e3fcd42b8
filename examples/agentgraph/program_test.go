package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const asProgram = "AGENTGRAPH_AS_PROGRAM"

// TestMain is the program where a test has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// execute runs the program as a process.
func execute(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0") // or the race detector ends with a second's sleep
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// statsOf returns the object at the end of the output.
func statsOf(t *testing.T, out string) (stats map[string]map[string]any) {
	t.Helper()
	_, text, found := strings.Cut(out, "What the close of the graph returned:\n")
	require.True(t, found, out)
	text, _, _ = strings.Cut(text, `,
  "total_duration_seconds"`)
	require.NoError(t, json.Unmarshal([]byte(text+"}"), &stats), text)
	return stats
}

func TestProgram(t *testing.T) {
	t.Parallel()
	out, errs, err := execute(t)
	require.NoError(t, err, errs)
	assert.Empty(t, errs)

	assert.Regexp(t, `notify, a method at background.go:\d+\. notify is the second pattern`, out)
	assert.Regexp(t, `Close, a method at graph.go:\d+\. Close lets the background tasks finish`, out)
	assert.Regexp(t, `(?m)^\S+ graph_execution start thread=thread-1 run=\S+ #1 "What do notify and Close do\?"$`, out)
	assert.Regexp(t, `(?m)^\S+ graph_execution end thread=thread-1 run=\S+ #26 `, out)
	assert.Contains(t, out, "agentgraph.tool_calls{tool=read_doc} 2")
	assert.Contains(t, out, `from answer of thread-1: "notify, a method`)

	agent := regexp.MustCompile(`(?m)^(\w{8})  invoke_agent source_agent `).FindStringSubmatch(out)
	require.NotNil(t, agent, out)
	for _, task := range []string{"notify", "collect_metrics"} {
		assert.Regexp(t, `─ spawn `+task+` .* → trace \w{8}, completed\n`, out)
		assert.Regexp(t, `(?m)^\w{8}  `+task+` +completed .*← spawn `+task+`, trace `+agent[1][:4], out)
	}
	assert.Contains(t, out, "publish_event, 26 completed.")

	stats := statsOf(t, out)
	assert.Equal(t, "completed", stats["background_tasks"]["status"])
	assert.EqualValues(t, 28, stats["all_tasks"]["completed"])
}

func TestProgramAsJSON(t *testing.T) {
	t.Parallel()
	out, errs, err := execute(t, "-json", "-think", "0", "-slow", "0", "-q", "What is sink, or Invoke?")
	require.NoError(t, err, errs)
	last, count := "", 0
	for line := range strings.Lines(out) {
		var event struct {
			Event    string `json:"event"`
			ThreadID string `json:"thread_id"`
			RunID    string `json:"run_id"`
			Sequence int    `json:"sequence"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		count++
		assert.Equal(t, count, event.Sequence)
		assert.Equal(t, "thread-1", event.ThreadID)
		assert.NotEmpty(t, event.RunID)
		last = event.Event
	}
	assert.Greater(t, count, 20)
	assert.Equal(t, "graph_execution", last)
	assert.Contains(t, errs, "Invoke, a method at graph.go")
	assert.EqualValues(t, count+2, statsOf(t, errs)["all_tasks"]["completed"])
}

// TestProgramWithSlowReceiver lets the receiver be slower than notify waits for it.
func TestProgramWithSlowReceiver(t *testing.T) {
	t.Parallel()
	out, errs, err := execute(t, "-slow", "1h")
	require.NoError(t, err, errs)
	assert.Regexp(t, `notify +timed_out`, out)
	assert.EqualValues(t, 1, statsOf(t, out)["background_tasks"]["timed_out_tasks"])
	assert.Contains(t, errs, "task.name=notify")
}

func TestProgramThatFails(t *testing.T) {
	t.Parallel()
	out, errs, err := execute(t, "-q", "")
	require.Error(t, err)
	assert.Contains(t, errs, "agentgraph: ")
	assert.Contains(t, errs, "the question is empty")
	assert.Contains(t, out, "graph_execution error")
	assert.Equal(t, "completed", statsOf(t, out)["background_tasks"]["status"])

	_, errs, err = execute(t, "-nonsense")
	require.Error(t, err)
	assert.Contains(t, errs, "agentgraph: ")
	assert.Contains(t, errs, "-nonsense")

	_, errs, err = execute(t, "-h")
	require.NoError(t, err)
	assert.Contains(t, errs, "-json")
}
