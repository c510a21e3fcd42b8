package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

// eventsOfRun are those of testQuestion, which makes one call of each tool.
var eventsOfRun = []string{
	"graph_execution start ",
	"node_execution start prepare", "node_execution end prepare",
	"node_execution start model", "node_execution end model",
	"node_execution start tools", "tool_execution start tools", "tool_execution end tools", "node_execution end tools",
	"node_execution start model", "node_execution end model",
	"node_execution start tools", "tool_execution start tools", "tool_execution end tools", "node_execution end tools",
	"node_execution start model", "streaming update model", "node_execution end model",
	"node_execution start answer", "node_execution end answer",
	"graph_execution end ",
}

func inShort(events []publisher.Event) (lines []string) {
	for _, e := range events {
		lines = append(lines, fmt.Sprintf("%s %s %s", e.Kind, e.Type, e.NodeName))
	}
	return lines
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.ask(t, t.Context())
	f.close(t)

	events := f.sink.arrived()
	require.Equal(t, eventsOfRun, inShort(events))
	for i, e := range events {
		assert.Equal(t, "thread-1", e.ThreadID)
		assert.Equal(t, events[0].RunID, e.RunID)
		assert.Len(t, e.RunID, 36)
		assert.EqualValues(t, i+1, e.Sequence)
		assert.False(t, e.IsError)
		assert.True(t, e.SpanContext().IsValid())
	}
	assert.Equal(t, testQuestion, events[0].Content)
	assert.Equal(t, `find_declaration {"name":"Boil"}`, events[6].Content)
	assert.Equal(t, `find_declaration [{"name":"Boil","kind":"func","file":"kettle.go","line":4}]`, events[7].Content)
	assert.Equal(t, testAnswer, events[16].Content)
	assert.Equal(t, testAnswer, events[20].Content)
}

func TestSeveralRunsAtOnce(t *testing.T) {
	t.Parallel()
	const threads, runsEach = 3, 8
	f := newFixture(t, nil)
	var runs sync.WaitGroup
	for thread := range threads {
		for range runsEach {
			runs.Go(func() {
				result, err := f.Invoke(t.Context(), fmt.Sprint("thread-", thread), testQuestion)
				assert.NoError(t, err)
				assert.Equal(t, testAnswer, result.Text)
			})
		}
	}
	runs.Wait()
	f.close(t)

	byThread, byRun := make(map[string][]publisher.Event), make(map[string][]publisher.Event)
	for _, e := range f.sink.arrived() {
		byThread[e.ThreadID] = append(byThread[e.ThreadID], e)
		byRun[e.RunID] = append(byRun[e.RunID], e)
	}
	assert.Len(t, byThread, threads)
	for thread, events := range byThread {
		assert.Len(t, events, runsEach*len(eventsOfRun))
		for i, e := range events {
			assert.EqualValues(t, i+1, e.Sequence, thread)
		}
	}
	assert.Len(t, byRun, threads*runsEach)
	for run, events := range byRun {
		assert.Equal(t, eventsOfRun, inShort(events), run)
	}
}

// TestSlowSink shows that the run takes only the time of its model, and the close that of the events.
func TestSlowSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *config) {
			sink := c.publisher
			c.publisher = publisher.Func(func(ctx context.Context, e publisher.Event) error {
				time.Sleep(time.Second)
				return sink.Publish(ctx, e)
			})
			c.think = 10 * time.Millisecond
		})
		began := time.Now()
		f.ask(t, t.Context())
		assert.Equal(t, 4*10*time.Millisecond, time.Since(began), "three rounds, and one part of the answer")
		f.close(t)
		assert.Equal(t, time.Duration(len(eventsOfRun))*time.Second, time.Since(began), "one after another")
		assert.Equal(t, eventsOfRun, inShort(f.sink.arrived()))
	})
}

func TestFailingSink(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *config) {
		c.publisher = publisher.Func(func(context.Context, publisher.Event) error { return errors.New("no ink") })
	})
	f.ask(t, t.Context())
	assert.EqualValues(t, len(eventsOfRun), f.close(t).AllTasks.Failed)
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	for _, question := range []string{"What does Whistle do?", "What is it?"} {
		f := newFixture(t, nil)
		result, err := f.Invoke(t.Context(), "thread-1", question)
		require.NoError(t, err)
		assert.True(t, result.Person)
		f.close(t)
		lines := inShort(f.sink.arrived())
		assert.Contains(t, lines, "node_execution end hand_over")
		assert.NotContains(t, lines, "node_execution start answer")
		assert.Equal(t, 1, strings.Count(strings.Join(taskNames(f), " "), "notify"))
	}
}

func TestFailingRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	_, err := f.Invoke(t.Context(), "thread-1", " ")
	require.ErrorContains(t, err, "the question is empty")
	f.close(t)
	events := f.sink.arrived()
	assert.Equal(t, []string{
		"graph_execution start ", "node_execution start prepare", "node_execution error prepare", "graph_execution error ",
	}, inShort(events))
	assert.True(t, events[3].IsError)
}

// TestCancelledRun shows that the background tasks of a run outlive its context.
func TestCancelledRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *config) { c.think = time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(90*time.Minute, cancel) // in the second round of the model
		began := time.Now()
		_, err := f.Invoke(ctx, "thread-1", testQuestion)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, 90*time.Minute, time.Since(began))
		stats := f.close(t)
		assert.Equal(t, stats.AllTasks.Created, stats.AllTasks.Completed)

		want := append(slices.Clone(eventsOfRun[:10]), "node_execution interrupted model", "graph_execution interrupted ")
		assert.Equal(t, want, inShort(f.sink.arrived()))
		assert.Len(t, newSpans(f.spans.GetSpans()).graph, 6, "all have ended")
	})
}
