package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The end of a process: accepted work that a shutdown did not let finish is named.

func TestShutdownNamesWhatItCancelled(t *testing.T) {
	inBubble(t, "running and queued", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(2, -1))
		for i := range 3 {
			m.Go(t.Context(), "send_receipt", obey, core.WithAttrs(slog.Int("order_id", 100+i)))
		}
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		require.Equal(t, "cancelled", stats.Status)
		require.Equal(t, 3, stats.CancelledTasks)
		var report *core.ShutdownError
		require.ErrorAs(t, err, &report)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, report.Cancelled, 3)
		require.Empty(t, report.Remaining)
		for i, task := range report.Cancelled {
			require.Equal(t, "cancelled", task.State)
			require.Equal(t, []slog.Attr{slog.Int("order_id", 100+i)}, task.Attrs)
		}
		lines := log.with(t, msgCancelled)
		require.Len(t, lines, 3)
		ids := map[any]bool{}
		for _, l := range lines {
			require.Equal(t, "WARN", l.level())
			require.Equal(t, "shutdown", l.task()["cause"])
			ids[l["order_id"]] = true
		}
		require.Len(t, ids, 3)

		stats, err = m.Shutdown(t.Context())
		require.Equal(t, "already_shutdown", stats.Status)
		require.ErrorAs(t, err, &report, "it is still lost")
		require.NoError(t, m.Close(), "nothing remains")
	})
	inBubble(t, "not what completed all the same", func(t *testing.T) {
		m := newManager()
		m.Go(t.Context(), "saves", func(ctx context.Context) error { <-ctx.Done(); return nil })
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		require.NoError(t, err)
		require.Equal(t, "completed", stats.Status)
	})
	inBubble(t, "not what others cancelled", func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		task := m.Go(t.Context(), "x", after(2, fail))
		task.Cancel()
		stats, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.Equal(t, "completed", stats.Status)
		require.Equal(t, "DEBUG", log.only(t, msgCancelled).level())
	})
	inBubble(t, "what fails or is refused because of the cancel", func(t *testing.T) {
		m := newManager(core.WithLimit(2, 1), core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			if ctx.Err() != nil {
				return core.ErrRejected
			}
			return next(ctx, task)
		})))
		m.Go(t.Context(), "panics", func(ctx context.Context) error { <-ctx.Done(); panic("no time") })
		m.Go(t.Context(), "times out", ignoreAndFail(9*time.Second), core.WithTimeout(time.Second))
		m.Go(t.Context(), "queued", succeed)
		stats, err := m.Shutdown(seconds(t, 10*time.Second))
		var report *core.ShutdownError
		require.ErrorAs(t, err, &report)
		require.Equal(t, []string{"panics failed", "queued rejected"}, statesOf(report.Cancelled))
		require.Equal(t, "cancelled", stats.Status)
		require.Equal(t, 1, stats.TimedOutTasks)
		requireAccounted(t, stats)
	})
	inBubble(t, "what fails by itself", func(t *testing.T) {
		m := newManager(core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			err := next(ctx, task)
			time.Sleep(10 * time.Second) // it is cancelled here, and has failed before
			return err
		})))
		m.Go(t.Context(), "x", fail)
		stats, err := m.Shutdown(seconds(t, 11*time.Second))
		require.NoError(t, err)
		require.Equal(t, "completed", stats.Status)
		require.Equal(t, 1, stats.FailedTasks)
	})
	inBubble(t, "Close was asked to cancel", func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		m.Go(t.Context(), "x", obey)
		require.NoError(t, m.Close())
		require.Equal(t, "cancelled", log.only(t, msgEnded)["status"])
		require.Equal(t, "DEBUG", log.only(t, msgCancelled).level())
	})
	inBubble(t, "of very many the first twenty, and the number", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(1, -1))
		for range 100 {
			m.Go(t.Context(), "x", obey)
		}
		_, err := m.Shutdown(seconds(t, time.Second))
		var report *core.ShutdownError
		require.ErrorAs(t, err, &report)
		require.Len(t, report.Cancelled, 100)
		warned := 0
		for _, l := range log.with(t, msgCancelled) {
			if l.level() == "WARN" {
				warned++
			}
		}
		require.Equal(t, 20, warned)
		l := log.only(t, "more background tasks cancelled by the shutdown")
		require.Equal(t, "WARN", l.level())
		require.EqualValues(t, 80, l["cancelled_tasks"])
	})
}

// statesOf returns the name and the state of each task.
func statesOf(tasks []core.TaskInfo) (states []string) {
	for _, task := range tasks {
		states = append(states, task.Name+" "+task.State)
	}
	return states
}

// A task was cancelled in the queue, by somebody else than the shutdown, and its chain does not end.
func TestChainThatHangsIsNamed(t *testing.T) {
	for name, opt := range map[string]core.TaskOption{"cancelled": nil, "until shutdown": core.UntilShutdown()} {
		inBubble(t, name, func(t *testing.T) {
			release := make(chan struct{})
			m := newManager(core.WithLimit(1, 1), core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
				err := next(ctx, task)
				if err != nil {
					<-release
				}
				return err
			})))
			m.Go(t.Context(), "runs", ignore(time.Second))
			queued := m.Go(t.Context(), "hangs", succeed, opt)
			if opt == nil {
				queued.Cancel()
			}
			var report *core.ShutdownError
			stats, err := m.Shutdown(seconds(t, 10*time.Second))
			require.ErrorAs(t, err, &report)
			require.Equal(t, []string{"hangs cancelling"}, statesOf(report.Remaining))
			require.Equal(t, "timeout", stats.Status)
			requireAccounted(t, stats)
			require.ErrorAs(t, m.Close(), &report)
			require.Equal(t, []string{"hangs cancelling"}, statesOf(report.Remaining))
			close(release)
			require.NoError(t, m.Close())
		})
	}
}

func TestShutdownWithoutWorkIsQuiet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		require.NoError(t, core.New(log.option()).Close())
		require.Equal(t, "DEBUG", log.only(t, msgBegan).level())
		require.Equal(t, "DEBUG", log.only(t, msgEnded).level())
	})
}

// The context of the signal itself is the commonest mistake.
func TestShutdownWithAContextThatIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option())
		m.Go(t.Context(), "obedient", obey)
		m.Go(t.Context(), "deaf", ignore(time.Minute))
		synctest.Wait()
		stats, err := m.Shutdown(over)
		require.Error(t, err)
		requireAccounted(t, stats)
		require.Equal(t, "WARN",
			log.only(t, "shutdown of background tasks has no time to drain: its context is done").level())
		for _, l := range log.with(t, msgLeftOver) {
			require.Equal(t, "cancelling", l.task()["state"], "as in the error")
		}
		require.NoError(t, m.Wait(t.Context()))
	})
}

func TestUntilShutdown(t *testing.T) {
	inBubble(t, "is cancelled as the shutdown begins", func(t *testing.T) {
		m := newManager(core.WithLimit(2, -1))
		begin := time.Now()
		var stopped time.Duration
		m.Go(t.Context(), "poller", func(ctx context.Context) error {
			<-ctx.Done()
			require.Equal(t, core.ErrShutdown, context.Cause(ctx))
			stopped = time.Since(begin)
			return ctx.Err()
		}, core.UntilShutdown())
		m.Go(t.Context(), "work", during(5*time.Second))
		queued := m.Go(t.Context(), "queued poller", obey, core.UntilShutdown())
		stats, err := m.Shutdown(seconds(t, time.Minute))
		require.NoError(t, err)
		require.Zero(t, stopped)
		require.Equal(t, core.ErrShutdown, queued.Err())
		require.Equal(t, "completed", stats.Status, "a poller is no work")
		require.Equal(t, 2, stats.CancelledTasks)
		require.Equal(t, 5*time.Second, stats.Duration)
	})
	inBubble(t, "also one that is started while it drains", func(t *testing.T) {
		m := newManager()
		var nested *core.Task
		m.Go(t.Context(), "x", func(ctx context.Context) error {
			<-m.Draining()
			nested = m.Go(ctx, "poller", obey, core.UntilShutdown())
			return nil
		})
		stats, err := m.Shutdown(t.Context())
		require.NoError(t, err)
		require.Equal(t, core.Cancelled, nested.Outcome())
		require.Zero(t, stats.Duration)
	})
	inBubble(t, "that does not stop remains", func(t *testing.T) {
		m := newManager()
		m.Go(t.Context(), "deaf poller", ignore(time.Hour), core.UntilShutdown())
		stats, err := m.Shutdown(seconds(t, time.Second))
		require.ErrorContains(t, err, "deaf poller")
		require.Equal(t, "timeout", stats.Status)
		require.NoError(t, m.Wait(t.Context()))
	})
}

func TestDrainingIsClosedWhenAShutdownBegins(t *testing.T) {
	for name, end := range map[string]func(*core.Manager){
		"Shutdown": func(m *core.Manager) { _, _ = m.Shutdown(context.Background()) },
		"Close":    func(m *core.Manager) { _ = m.Close() },
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager()
			select {
			case <-m.Draining():
				require.Fail(t, "is closed")
			default:
			}
			m.Go(t.Context(), "x", ignore(time.Second))
			go end(m)
			synctest.Wait()
			<-m.Draining()
			require.EqualValues(t, 1, m.Stats().Running)
			require.NoError(t, m.Wait(t.Context()))
			end(m)
		})
	}
}

// Each has a child context to cancel, and a goroutine that wakes up.
func TestShutdownOfVeryManyTasksReturnsInTime(t *testing.T) {
	const tasks = 20_000
	for name, limit := range map[string]core.Option{
		"running": core.WithLimit(0, 0),
		"queued":  core.WithLimit(1, -1),
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(limit)
			for range tasks {
				m.Go(t.Context(), "x", func(ctx context.Context) error {
					ctx, cancel := context.WithCancel(ctx)
					defer cancel()
					return obey(ctx)
				})
			}
			stats, err := m.Shutdown(seconds(t, time.Second))
			require.Error(t, err)
			require.LessOrEqual(t, stats.Duration, time.Second)
			requireAccounted(t, stats)
			require.NoError(t, m.Wait(t.Context()))
		})
	}
}

// A middleware can keep what a shutdown cancels, queued tasks included.
func ExampleErrShutdown() {
	var saved []string
	save := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			err := next(ctx, t)
			if err == nil || context.Cause(ctx) != core.ErrShutdown {
				return err
			}
			saved = append(saved, fmt.Sprint(t.Name(), " ", t.Attrs())) // in a database, say
			return nil
		}
	})
	tasks := core.New(core.WithMiddleware(save), core.WithLimit(1, -1), core.WithLogger(slog.New(slog.DiscardHandler)))
	ctx := context.Background()
	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { <-ctx.Done(); return nil })
	tasks.Go(ctx, "send_receipt", func(context.Context) error { return nil }, core.WithAttrs(slog.Int("order_id", 7)))

	_ = tasks.Close()
	fmt.Println(saved)
	// Output: [send_receipt [order_id=7]]
}
