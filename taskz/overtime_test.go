package taskz_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The figures over time.

// sum adds up a list of numbers.
func sum(list any) (total float64) {
	if list == nil {
		return 0
	}
	for _, n := range list.([]any) {
		total += n.(float64)
	}
	return total
}

func TestFiguresOverTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, core.WithLimit(1, 10))
		for range 4 {
			s.run("send", during(time.Second))
		}
		s.start("send", during(10*time.Second))
		waited := s.start("send", fail)
		<-waited.Done()
		over := s.json("")["names"].([]any)[0].(object)["over_time"]
		require.EqualValues(t, 6, sum(at(over, "started")))
		require.EqualValues(t, 5, sum(at(over, "ended", "completed")))
		require.EqualValues(t, 1, sum(at(over, "ended", "failed")))
		require.NotContains(t, at(over, "ended"), "cancelled")
		require.InDelta(t, 1, at(over, "run", "p50"), 0.25)
		require.EqualValues(t, 10, at(over, "run", "max"))
		require.EqualValues(t, 10, at(over, "wait", "max"))
		require.Len(t, at(over, "run_p95"), 40)
		require.Equal(t, over, s.json("")["over_time"], "of all names")

		time.Sleep(5 * time.Minute)
		over = s.json("")["over_time"]
		require.EqualValues(t, 6, sum(at(over, "started")), "it moves to the left")
		require.Zero(t, at(over, "started").([]any)[39])
		time.Sleep(6 * time.Minute)
		require.Empty(t, s.json("")["names"])
		require.Zero(t, sum(at(s.json("")["over_time"], "started")))
	})
}

// A task counts as started when it starts, and not when it ends.
func TestStartsOfRunningTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		s.start("long", during(5*time.Minute))
		synctest.Wait()
		require.EqualValues(t, 1, at(s.json(""), "over_time", "started").([]any)[39])
		time.Sleep(time.Minute)
		before := at(s.json(""), "over_time", "started").([]any)
		require.EqualValues(t, 1, before[35])
		require.EqualValues(t, 1, sum(before))
		require.NoError(t, s.tasks.Wait(t.Context()))
		time.Sleep(time.Second)
		after := at(s.json(""), "over_time", "started").([]any)
		require.EqualValues(t, 1, after[19], "at the same moment, now that it has ended")
		require.EqualValues(t, 1, sum(after))

		s.start("very long", during(20*time.Minute))
		require.NoError(t, s.tasks.Wait(t.Context()))
		require.EqualValues(t, 0, sum(at(s.json(""), "over_time", "started")), "that was too long ago")
	})
}

// Names that are not used any more make room for others, after ten minutes.
func TestNamesMakeRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		seen := func() map[string]bool {
			all := map[string]bool{}
			for _, n := range s.json("")["names"].([]any) {
				all[at(n, "name").(string)] = true
			}
			return all
		}
		for i := range 70 {
			s.run(fmt.Sprint("name-", i), succeed)
		}
		require.Len(t, seen(), 65)
		require.True(t, seen()["other names"])
		require.False(t, seen()["name-69"])
		time.Sleep(11 * time.Minute)
		s.run("name-69", succeed)
		require.Equal(t, map[string]bool{"name-69": true}, seen())
	})
}

// A task that was cancelled in the queue waited, and did not run.
func TestFiguresOfATaskThatNeverRan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, core.WithLimit(1, 1))
		s.start("first", during(time.Minute))
		queued := s.start("second", func(context.Context) error { panic("it never runs") })
		time.Sleep(8 * time.Second)
		queued.Cancel()
		<-queued.Done()
		for _, n := range s.json("")["names"].([]any) {
			if at(n, "name") == "second" {
				require.EqualValues(t, 8, at(n, "over_time", "wait", "max"))
				require.EqualValues(t, 0, at(n, "over_time", "run", "max"))
				require.EqualValues(t, 0, sum(at(n, "over_time", "started")))
			}
		}
		require.Nil(t, s.json("2")["run_seconds"])
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}
