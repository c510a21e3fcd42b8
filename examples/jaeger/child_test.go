package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChildTasksInJaeger(t *testing.T) {
	j := startJaeger(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", j.otlp)
	_, agents := runAgainst(t, j, "-relation", "child")
	require.Len(t, agents, 1)
	j.otlpTrace(t, agents[0], 5+len(expected)) // all has arrived
	agent := j.search(t, "", nil, 1)[0]

	t.Run("there is one trace and it is the agent's", func(t *testing.T) {
		assert.Equal(t, agents[0], agent.TraceID)
		names := append([]string{"invoke_agent docs_agent", "plan", "search", "answer", "embed"}, taskNames()...)
		assert.ElementsMatch(t, names, agent.names())
		assert.Equal(t, "invoke_agent docs_agent", agent.root(t).OperationName)
		assertNoWarnings(t, agent)
	})
	for _, want := range expected {
		t.Run(want.name+" is a child of the node that spawned it", func(t *testing.T) {
			task := agent.one(t, want.name)
			assert.Equal(t, agent.one(t, want.node).to(childOf), task.References)
			assertTaskTags(t, task, want.name, want.outcome)
			assertErrorTags(t, task, want.errorType, want.message)
			assert.Empty(t, task.tag("afterspan.spawner.trace_id"), "it is the trace that it is in")
		})
	}
	t.Run("the spans inside a task are beneath it", func(t *testing.T) {
		assert.Equal(t, agent.one(t, "index_documents").to(childOf), agent.one(t, "embed").References)
	})
	t.Run("tasks are found by their outcome and conversation", func(t *testing.T) {
		found := j.search(t, "", map[string]string{"afterspan.task.outcome": "failed", "thread_id": "thread-1"}, 1)
		assert.Equal(t, agents[0], found[0].TraceID)
	})
}
