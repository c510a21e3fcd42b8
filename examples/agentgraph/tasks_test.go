package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/afterspan/afterspan/core"
)

// TestLinks follows each task's link to the node that its attributes name.
func TestLinks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.ask(t, t.Context())
	f.close(t)

	s := newSpans(f.spans.GetSpans())
	require.Len(t, s.tasks, len(eventsOfRun)+2)
	require.Equal(t, "invoke_agent source_agent", s.graph[0].Name)
	for _, task := range s.tasks {
		require.Len(t, task.Links, 1)
		node, ok := s.spawner(task)
		require.True(t, ok, task.Name)
		assert.False(t, task.Parent.IsValid(), "a trace of its own")
		assert.Equal(t, s.graph[0].SpanContext.TraceID(), node.SpanContext.TraceID())
		attrs := attrsOf(task)
		assert.Equal(t, node.SpanContext.SpanID().String(), attrs["afterspan.spawner.span_id"])
		assert.Equal(t, "thread-1", attrs["thread_id"])
		assert.Equal(t, f.sink.arrived()[0].RunID, attrs["run_id"])
		switch {
		case strings.HasPrefix(node.Name, "execute_tool "):
			assert.Equal(t, nodeTools, attrs["node_name"])
			assert.Equal(t, nodeTools, s.byID[node.Parent.SpanID()].Name)
		case node.Name == s.graph[0].Name:
			assert.Empty(t, attrs["node_name"])
		default:
			assert.Equal(t, node.Name, attrs["node_name"])
			assert.Equal(t, s.graph[0].SpanContext.SpanID(), node.Parent.SpanID())
		}
	}
	for _, name := range []string{"notify", "collect_metrics"} {
		node, _ := s.spawner(f.task(t, name))
		assert.Equal(t, nodeAnswer, node.Name)
	}
}

// TestSlowNotify shows with a real receiver that the answer does not wait for it, and that the close does.
func TestSlowNotify(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var received []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-release
		received = append(received, r.Method+" "+r.Header.Get("Content-Type"))
	}))
	defer server.Close()
	f := newFixture(t, func(c *config) { c.client, c.notifyURL = server.Client(), server.URL })
	f.ask(t, t.Context()) // or nobody would get to the release
	close(release)
	stats := f.close(t)
	assert.Equal(t, stats.AllTasks.Created, stats.AllTasks.Completed)
	assert.Equal(t, []string{"POST application/json"}, received)
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	hook, err := startReceiver(0)
	require.NoError(t, err)
	f := newFixture(t, func(c *config) { c.client, c.notifyURL = http.DefaultClient, hook.url })
	f.ask(t, t.Context())
	f.close(t)
	runID := f.sink.arrived()[0].RunID
	assert.Equal(t, []notification{{"thread-1", runID, nodeAnswer, testAnswer}}, hook.received())
	assert.NoError(t, hook.close())
}

func TestFailingNotify(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusInternalServerError)
	}))
	defer broken.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for url, want := range map[string]string{broken.URL: "notifying: 500", gone.URL: syscall.ECONNREFUSED.Error()} {
		f := newFixture(t, func(c *config) { c.client, c.notifyURL = http.DefaultClient, url })
		f.ask(t, t.Context())
		stats := f.close(t)
		assert.EqualValues(t, 1, stats.AllTasks.Failed)
		task := f.task(t, "notify")
		assert.Equal(t, codes.Error, task.Status.Code)
		assert.Contains(t, task.Status.Description, want)
		assert.Contains(t, f.logs.String(), "task.name=notify")
		assert.Contains(t, f.logs.String(), "thread_id=thread-1 run_id=")
		assert.Contains(t, f.logs.String(), "node_name=answer")
		assert.Equal(t, eventsOfRun, inShort(f.sink.arrived()))
	}
}

func TestNotifyThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *config) {
			c.client.Transport = transport(func(r *http.Request) error {
				<-r.Context().Done()
				return r.Context().Err()
			})
		})
		began := time.Now()
		f.ask(t, t.Context())
		assert.Zero(t, time.Since(began))
		stats := f.close(t)
		assert.Equal(t, 10*time.Second, time.Since(began))
		assert.Equal(t, 1, stats.BackgroundTasks.TimedOutTasks)
		assert.Equal(t, "timed_out", attrsOf(f.task(t, "notify"))["afterspan.task.outcome"])
	})
}

func TestPanicInTask(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *config) {
		c.client.Transport = transport(func(*http.Request) error { panic("a bug") })
	})
	f.ask(t, t.Context())
	f.ask(t, t.Context()) // the graph goes on
	stats := f.close(t)
	assert.EqualValues(t, 2, stats.AllTasks.Failed)
	assert.Equal(t, stats.AllTasks.Created-2, stats.AllTasks.Completed)
	assert.Contains(t, f.logs.String(), "panic: a bug")
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.ask(t, t.Context())
	f.close(t)
	lines, err := counters(t.Context(), f.metrics)
	require.NoError(t, err)
	assert.Contains(t, lines, "agentgraph.tool_calls{tool=find_declaration} 1")
	assert.Contains(t, lines, "agentgraph.tool_calls{tool=read_doc} 1")
	assert.Contains(t, lines, "agentgraph.words{role=user} 4")
	assert.Contains(t, lines, "agentgraph.words{role=assistant} 9")
}

func TestNoManager(t *testing.T) {
	t.Parallel()
	_, err := compile(t.Context(), config{})
	require.ErrorIs(t, err, errNoManager)

	// A node that is run by something else than Invoke finds none either.
	f := newFixture(t, nil)
	_, err = f.graph.Invoke(t.Context(), testQuestion)
	require.ErrorIs(t, err, errNoManager)
	assert.ErrorContains(t, err, "notify: no manager of background tasks in the context")
	assert.ErrorContains(t, err, "core.NewContext")
	assert.NoError(t, f.agent.notify(core.NewContext(t.Context(), f.tasks), answer{}))
}
