package main

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// TestCloseDrains closes while tasks of three runs still go on.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *config) {
			c.client.Transport = transport(func(*http.Request) error {
				time.Sleep(3 * time.Second)
				return nil
			})
		})
		for range 3 {
			f.ask(t, t.Context())
		}
		synctest.Wait() // the quick tasks are done
		stats := f.close(t)
		assert.Equal(t, core.ShutdownStats{
			Status: "completed", InitialTasks: 3, CompletedTasks: 3, Duration: 3 * time.Second,
		}, stats.BackgroundTasks)
		created := uint64(3 * (len(eventsOfRun) + 2))
		assert.Equal(t, core.Stats{Created: created, Completed: created}, stats.AllTasks)
		assert.InDelta(t, 3, stats.TotalDuration, 1e-9)
	})
}

// TestCloseInTime closes while a task does not listen: the close returns in time, and says so.
func TestCloseInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := newFixture(t, func(c *config) {
			c.client.Transport = transport(func(*http.Request) error {
				<-release
				return nil
			})
		})
		f.ask(t, t.Context())
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		stats, err := f.Close(ctx)
		var left *core.ShutdownError
		require.ErrorAs(t, err, &left)
		require.Len(t, left.Remaining, 1)
		assert.Equal(t, "notify", left.Remaining[0].Name)
		assert.Equal(t, 4*time.Second, time.Since(began))
		assert.Equal(t, "timeout", stats.BackgroundTasks.Status)
		assert.Equal(t, 1, stats.BackgroundTasks.RemainingTasks)
		requireSums(t, stats)
		close(release)
	})
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.ask(t, t.Context())
	first, second := f.close(t), f.close(t)
	assert.Equal(t, "completed", first.BackgroundTasks.Status)

	want := first.BackgroundTasks // whose figures stand
	want.Status, want.Duration = "already_shutdown", second.BackgroundTasks.Duration
	assert.Equal(t, want, second.BackgroundTasks)
	assert.Equal(t, first.AllTasks, second.AllTasks)

	_, err := f.Invoke(t.Context(), "thread-1", testQuestion)
	require.ErrorIs(t, err, errClosed)
	assert.Zero(t, f.close(t).AllTasks.Rejected, "nothing was started")
}

// TestCloseDuringRun shows what becomes of a run that was not waited for: it ends, and its late tasks are refused.
func TestCloseDuringRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *config) { c.think = time.Second })
		time.AfterFunc(1500*time.Millisecond, func() { _, _ = f.Close(t.Context()) })
		f.ask(t, t.Context())
		stats := f.close(t)
		assert.Equal(t, eventsOfRun[:10], inShort(f.sink.arrived()))
		assert.EqualValues(t, len(eventsOfRun)-10+2, stats.AllTasks.Rejected)
	})
}

func TestStatsAsJSON(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.ask(t, t.Context())
	text, err := json.Marshal(f.close(t))
	require.NoError(t, err)
	var stats map[string]any
	require.NoError(t, json.Unmarshal(text, &stats))
	assert.Contains(t, stats, "total_duration_seconds")
	assert.Contains(t, stats, "all_tasks")
	tasks, ok := stats["background_tasks"].(map[string]any)
	require.True(t, ok, "%s", text)
	assert.Equal(t, "completed", tasks["status"])
	assert.Contains(t, tasks, "duration_seconds")
}
