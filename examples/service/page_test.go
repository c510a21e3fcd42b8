package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A client that got the ids of its tasks asks how they are doing, and what became of them.
func TestPageOfATask(t *testing.T) {
	t.Parallel()
	p := startService(t, nil, "-work", "1ms")
	_, answer := p.post("o-1", declined)
	p.idle()
	states := map[string]string{}
	for _, started := range answer.Tasks {
		status, body := p.get(fmt.Sprintf("/debug/tasks/%d?format=json", started.ID))
		require.Equal(t, http.StatusOK, status)
		var task struct {
			Name, State, Error string
			TraceURL           string `json:"trace_url"`
			Lines              []struct{ Text string }
		}
		require.NoError(t, json.Unmarshal([]byte(body), &task))
		states[task.Name] = task.State
		assert.Regexp(t, "^http://localhost:16686/trace/[0-9a-f]{32}$", task.TraceURL)
		if task.Name == "send_receipt" {
			require.Len(t, task.Lines, 2)
			assert.Equal(t, "receipt sent order_id=o-1", task.Lines[1].Text)
		}
	}
	assert.Equal(t, map[string]string{
		"send_receipt": "completed", "warm_cache": "completed", "notify": "completed", "award_points": "failed",
	}, states)
	p.stop()
}
