package core_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// A goroutine cannot be killed. One that goes on after its context was cancelled is named in the log.

func TestOverdueTaskIsLoggedOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		timeout time.Duration
		stop    func(*core.Manager, *core.Task)
		age     time.Duration // when it is logged
		cause   string
	}{
		"after Cancel":    {0, func(_ *core.Manager, task *core.Task) { task.Cancel() }, 15 * time.Second, "cancel"},
		"after CancelAll": {0, func(m *core.Manager, _ *core.Task) { m.CancelAll() }, 15 * time.Second, "cancel"},
		"after Close":     {0, func(m *core.Manager, _ *core.Task) { _ = m.Close() }, 15 * time.Second, "shutdown"},
		"after Shutdown": {0, func(m *core.Manager, _ *core.Task) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, _ = m.Shutdown(ctx) // cancels after 5 s
		}, 20 * time.Second, "shutdown"},
		"after its timeout":        {3 * time.Second, func(*core.Manager, *core.Task) {}, 8 * time.Second, "timeout"},
		"after timeout and Cancel": {8 * time.Second, func(_ *core.Manager, task *core.Task) { task.Cancel() }, 13 * time.Second, "timeout"},
	} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			m := core.New(log.option())
			begin := time.Now()
			task := m.Go(t.Context(), "deaf", ignore(time.Hour), core.WithTimeout(tc.timeout), core.WithAttrs(slog.String("thread_id", "t1")))
			time.Sleep(10 * time.Second)
			if tc.age > 10*time.Second {
				require.Empty(t, log.with(t, msgOverdue), "not before its time")
			}
			tc.stop(m, task)
			time.Sleep(30 * time.Minute)

			l := log.only(t, msgOverdue)
			require.Equal(t, "WARN", l.level())
			require.Equal(t, "deaf", l.task()["name"])
			require.EqualValues(t, 1, l.task()["id"])
			require.Equal(t, "cancelling", l.task()["state"])
			require.Equal(t, "t1", l["thread_id"])
			require.Equal(t, tc.cause, l.task()["cause"])
			require.Contains(t, l["stack"], "time.Sleep", "where it is")

			age := time.Duration(l.task()["age"].(float64))
			at, err := time.Parse(time.RFC3339Nano, l["time"].(string))
			require.NoError(t, err)
			require.Equal(t, age, at.Sub(begin))
			require.GreaterOrEqual(t, age, tc.age)
			require.LessOrEqual(t, age, tc.age+time.Second, "the look may come up to a second late")
			requireEnds(t, task)
		})
	}
}

func TestTaskThatStopsInTimeIsNotOverdue(t *testing.T) {
	for name, fn := range map[string]core.Func{
		"at once":           obey,
		"within 5 s":        after(14, fail),
		"before its cancel": during(time.Second),
	} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			m := core.New(log.option())
			task := m.Go(t.Context(), "x", fn, core.WithTimeout(11*time.Second))
			time.Sleep(10 * time.Second)
			task.Cancel()
			time.Sleep(time.Hour)
			require.Empty(t, log.with(t, msgOverdue))
		})
	}
	inBubble(t, "a long task that nobody cancelled", func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		long := m.Go(t.Context(), "long", ignore(time.Hour))
		limited := m.Go(t.Context(), "limited", ignore(time.Hour), core.WithTimeout(2*time.Hour))
		m.Go(t.Context(), "deaf", ignore(time.Minute)).Cancel()
		requireEnds(t, long)
		requireEnds(t, limited)
		require.Equal(t, "deaf", log.only(t, msgOverdue).task()["name"])
	})
	inBubble(t, "the wait in the queue does not count", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(1, 1))
		m.Go(t.Context(), "first", ignore(time.Hour))
		m.Go(t.Context(), "queued", ignore(4*time.Second), core.WithTimeout(time.Second))
		require.NoError(t, m.Wait(t.Context()))
		time.Sleep(time.Hour)
		require.Empty(t, log.with(t, msgOverdue))
	})
}

// Each is logged at its own time, whatever order they came in.
func TestManyOverdueTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		timeouts := map[string]time.Duration{"a": 40 * time.Second, "b": 10 * time.Second, "c": 20 * time.Second, "d": 20500 * time.Millisecond}
		for name, timeout := range timeouts {
			m.Go(t.Context(), name, ignore(time.Hour), core.WithTimeout(timeout))
		}
		require.NoError(t, m.Wait(t.Context()))
		lines := log.with(t, msgOverdue)
		require.Len(t, lines, len(timeouts))
		for _, l := range lines {
			due := timeouts[l.task()["name"].(string)] + 5*time.Second
			age := time.Duration(l.task()["age"].(float64))
			require.GreaterOrEqual(t, age, due)
			require.LessOrEqual(t, age, due+time.Second)
		}
	})
}

// Hundreds at once are hundreds of lines with a stack. They come, but not all at the same moment.
func TestVeryManyOverdueTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		for range 130 {
			m.Go(t.Context(), "deaf", ignore(time.Hour), core.WithTimeout(time.Second))
		}
		time.Sleep(8500 * time.Millisecond)
		require.Len(t, log.with(t, msgOverdue), 3*20, "after 6, 7 and 8 s")
		require.NoError(t, m.Wait(t.Context()))
		require.Len(t, log.with(t, msgOverdue), 130)
	})
}

// The line is of the manager's making: when Close has returned nil nobody writes it any more.
func TestCloseWaitsForALineThatIsBeingWritten(t *testing.T) {
	for name, others := range map[string]int{"alone": 0, "beside others": 2} {
		inBubble(t, name, func(t *testing.T) {
			var written atomic.Bool
			m := core.New(logTo(func(ctx context.Context, r slog.Record) {
				if r.Message == msgOverdue && task(ctx).ID() == 1 {
					time.Sleep(30 * time.Second)
					written.Store(true)
				}
			}))
			for i := range 1 + others {
				m.Go(t.Context(), "deaf", ignore(20*time.Second), core.WithTimeout(time.Duration(1+3*i)*time.Second))
			}
			time.Sleep(21 * time.Second)
			require.Zero(t, m.Stats().Running)
			require.NoError(t, m.Close())
			require.True(t, written.Load())
		})
	}
}

// Only the functions tell the goroutines of these tasks apart.
func firstPlace(release <-chan struct{})  { <-release }
func secondPlace(release <-chan struct{}) { <-release }

func TestStackOfAnOverdueTaskIsItsOwn(t *testing.T) {
	places := map[string]func(<-chan struct{}){"first": firstPlace, "second": secondPlace}
	for name, opts := range map[string][]core.Option{
		"alone": nil,
		"behind middlewares and a limit": {core.WithLimit(100, 0), core.WithMiddleware(
			around(func(ctx context.Context, task *core.Task, next core.Handler) error { return next(ctx, task) }),
			around(func(ctx context.Context, task *core.Task, next core.Handler) error { return next(ctx, task) }))},
	} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			m := core.New(append(opts, log.option())...)
			release := make(chan struct{})
			for range 5 {
				for name, place := range places {
					m.Go(t.Context(), name, func(context.Context) error { place(release); return nil })
				}
			}
			other := newManager()
			other.Go(t.Context(), "other", func(context.Context) error { firstPlace(release); return nil })
			synctest.Wait()
			m.CancelAll()
			time.Sleep(time.Minute)

			lines := log.with(t, msgOverdue)
			require.Len(t, lines, 10)
			seen := map[string]bool{}
			for _, l := range lines {
				stack, _ := l["stack"].(string)
				require.Contains(t, stack, l.task()["name"].(string)+"Place")
				require.False(t, seen[stack[:20]], "each has its own: %s", stack)
				seen[stack[:20]] = true
			}
			close(release)
			require.NoError(t, m.Wait(t.Context()))
			require.NoError(t, other.Wait(t.Context()))
		})
	}
}

// With very many goroutines the stacks would cost more than the line is worth: it is logged without.
func TestOverdueAmongVeryManyGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		release := make(chan struct{})
		for range 6000 {
			go func() { <-release }()
		}
		task := m.Go(t.Context(), "deaf", until(release))
		time.Sleep(time.Second)
		task.Cancel()
		time.Sleep(time.Minute)
		require.NotContains(t, log.only(t, msgOverdue), "stack")
		close(release)
		requireEnds(t, task)
	})
}
