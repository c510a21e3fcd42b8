package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where a tenth is kept, nobody is to click on a link and find nothing. That none of 200 is kept happens once in 10⁹ runs.
func TestSampledInJaegerAreBothSidesOrNeither(t *testing.T) {
	const questions = 200
	j := startJaeger(t)
	out, sampled := runAgainst(t, j, "-endpoint", j.otlp, "-n", "200", "-sample", "0.1")
	require.NotEmpty(t, sampled)
	require.Equal(t, questions-len(sampled), strings.Count(out, "is not sampled"))
	require.Less(t, len(sampled), questions/2)

	traces := j.search(t, "", nil, len(sampled)*(1+len(expected))) // and not one more
	agents := j.search(t, "invoke_agent docs_agent", nil, len(sampled))
	t.Run("each agent that is there has all its tasks", func(t *testing.T) {
		for _, agent := range agents {
			assert.Contains(t, sampled, agent.TraceID)
			tasks := j.search(t, "", map[string]string{"afterspan.spawner.trace_id": agent.TraceID}, len(expected))
			assert.ElementsMatch(t, taskNames(), rootNames(t, tasks))
		}
	})
	t.Run("each reference leads to a span that is there", func(t *testing.T) {
		there := make(map[apiReference]bool)
		for _, tr := range traces {
			for _, s := range tr.Spans {
				there[s.to(followsFrom)[0]] = true
			}
		}
		for _, tr := range traces {
			for _, s := range tr.Spans {
				for _, reference := range s.references(followsFrom) {
					assert.True(t, there[reference], "%s of %s", reference.TraceID, s.OperationName)
				}
			}
		}
	})
}
