package core_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promise 6: logs.

func TestEachEndIsLoggedAtItsLevel(t *testing.T) {
	for name, tc := range map[string]struct {
		fn      core.Func
		cancel  bool
		msg     string
		level   string
		outcome string
		err     string // "": the line has no error
	}{
		"completed":      {fn: after(1, succeed), msg: msgCompleted, level: "DEBUG", outcome: "completed"},
		"completed late": {fn: after(11, succeed), msg: msgCompleted, level: "DEBUG", outcome: "completed"},
		"failed":         {fn: after(1, fail), msg: msgFailed, level: "ERROR", outcome: "failed", err: errTask.Error()},
		"panicked":       {fn: after(1, explode), msg: msgFailed, level: "ERROR", outcome: "failed", err: "panic: no such template"},
		"timed out":      {fn: obey, msg: msgTimedOut, level: "WARN", outcome: "timed_out", err: "context deadline exceeded"},
		"cancelled":      {fn: obey, cancel: true, msg: msgCancelled, level: "DEBUG", outcome: "cancelled", err: "context canceled"},
	} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			m := core.New(log.option())
			task := m.Go(t.Context(), "send_receipt", tc.fn, core.WithTimeout(limit),
				core.WithAttrs(slog.String("thread_id", "t1"), slog.Group("user", slog.Int("id", 7))))
			if tc.cancel {
				time.Sleep(time.Second)
				task.Cancel()
			}
			requireEnds(t, task)

			created := log.only(t, msgCreated)
			require.Equal(t, "DEBUG", created.level())
			require.Equal(t, "send_receipt", created.task()["name"])
			require.EqualValues(t, 1, created.task()["id"])

			ended := log.only(t, tc.msg)
			require.Equal(t, tc.level, ended.level())
			require.Equal(t, "send_receipt", ended.task()["name"])
			require.EqualValues(t, 1, ended.task()["id"])
			require.Equal(t, tc.outcome, ended.task()["outcome"])
			require.EqualValues(t, task.Info().Age, ended.task()["duration"])
			for _, l := range []line{created, ended} {
				require.Equal(t, "t1", l["thread_id"], "the task's own attributes are beside the group")
				require.Equal(t, map[string]any{"id": 7.0}, l["user"])
			}
			if tc.err == "" {
				require.NotContains(t, ended, "error")
			} else {
				require.Equal(t, tc.err, ended["error"])
			}
			if name == "panicked" {
				require.Contains(t, ended["stack"], "panic_test.go")
			} else {
				require.NotContains(t, ended, "stack")
			}
			require.Len(t, log.lines(t), 2, "and nothing else")
		})
	}
}

// The line of a queued task, too, tells how long the run was, not the wait.
func TestDurationIsThatOfTheRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(1, 2))
		m.Go(t.Context(), "first", ignore(time.Minute))
		m.Go(t.Context(), "queued", ignoreAndFail(time.Second))
		cancelled := m.Go(t.Context(), "cancelled", succeed)
		time.Sleep(time.Second)
		cancelled.Cancel()
		require.NoError(t, m.Wait(t.Context()))
		require.EqualValues(t, time.Second, log.only(t, msgFailed).task()["duration"])
		require.EqualValues(t, 0, log.only(t, msgCancelled).task()["duration"])
	})
}

func TestPanicBehindAWrappingMiddlewareIsLoggedWithItsStack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithMiddleware(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			return wrapped{next(ctx, task)}
		})))
		m.Go(t.Context(), "x", explode)
		require.NoError(t, m.Wait(t.Context()))
		require.Contains(t, log.only(t, msgFailed)["stack"], "explode")
	})
}

type wrapped struct{ error }

func (w wrapped) Unwrap() error { return w.error }

func TestShutdownIsLogged(t *testing.T) {
	inBubble(t, "completed", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(1, 1))
		m.Go(t.Context(), "first", ignore(time.Second))
		m.Go(t.Context(), "second", ignoreAndFail(time.Second))
		_, err := m.Shutdown(t.Context())
		require.NoError(t, err)

		began, ended := log.only(t, msgBegan), log.only(t, msgEnded)
		require.Equal(t, "INFO", began.level())
		require.EqualValues(t, 1, began["running"])
		require.EqualValues(t, 1, began["queued"])
		require.Equal(t, "INFO", ended.level())
		require.Equal(t, "completed", ended["status"])
		for key, want := range map[string]int{
			"initial_tasks": 2, "spawned_tasks": 0, "completed_tasks": 1, "failed_tasks": 1,
			"cancelled_tasks": 0, "timed_out_tasks": 0, "remaining_tasks": 0,
		} {
			require.EqualValues(t, want, ended[key], key)
		}
		require.EqualValues(t, 2*time.Second, ended["duration"])
		require.Empty(t, log.with(t, msgLeftOver))
	})
	inBubble(t, "with tasks left over", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithShutdownTimeout(2*time.Second))
		m.Go(t.Context(), "deaf", ignore(time.Minute), core.WithAttrs(slog.String("thread_id", "t1")))
		m.Go(t.Context(), "obedient", obey)
		require.Error(t, m.Close())

		left := log.only(t, msgLeftOver)
		require.Equal(t, "WARN", left.level())
		require.Equal(t, "deaf", left.task()["name"])
		require.EqualValues(t, 1, left.task()["id"])
		require.EqualValues(t, "cancelling", left.task()["state"])
		require.EqualValues(t, 2*time.Second, left.task()["age"])
		require.Equal(t, "shutdown", left.task()["cause"])
		require.Empty(t, log.with(t, msgMoreLeft))
		require.Equal(t, "t1", left["thread_id"])
		require.Contains(t, left["stack"], "ignore", "where it is")
		require.Equal(t, "timeout", log.only(t, msgEnded)["status"])
		time.Sleep(time.Hour)
	})
	inBubble(t, "with very many left over", func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithShutdownTimeout(0))
		for range 100 {
			m.Go(t.Context(), "deaf", ignore(time.Second))
		}
		require.Error(t, m.Close())
		require.Len(t, log.with(t, msgLeftOver), 20)
		more := log.only(t, msgMoreLeft)
		require.Equal(t, "WARN", more.level())
		require.EqualValues(t, 80, more["remaining_tasks"])
		time.Sleep(time.Hour)
	})
}

// contextHandler is what a handler that knows traces does: it reads the context of the line.
type contextHandler struct {
	slog.Handler
	seen *journal
}

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	value, _ := ctx.Value(key("span")).(string)
	h.seen.add(r.Message + ": " + value)
	return nil
}

// A trace-aware handler adds the ids of the task's own span, which a middleware put into the context.
func TestLinesAreLoggedWithTheInnermostContext(t *testing.T) {
	run := func(t *testing.T, inner core.Middleware, fn core.Func, drive func(*core.Manager, *core.Task)) []string {
		var seen journal
		tracing := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			return next(context.WithValue(ctx, key("span"), "span of "+task.Name()), task)
		})
		spawn := spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
			return context.WithValue(ctx, key("span"), "spawn of "+task.Name())
		})
		m := core.New(core.WithShutdownTimeout(time.Second), core.WithMiddleware(spawn, tracing, inner),
			core.WithLogger(slog.New(contextHandler{slog.DiscardHandler, &seen}.enabled())))
		task := m.Go(context.WithValue(t.Context(), key("span"), "request"), "x", fn)
		drive(m, task)
		requireEnds(t, task)
		return seen.all()
	}
	nothing := func(*core.Manager, *core.Task) {}
	none := core.Middleware{}
	for name, fn := range map[string]core.Func{msgCompleted: succeed, msgFailed: explode} {
		inBubble(t, name, func(t *testing.T) {
			require.Equal(t, []string{msgCreated + ": spawn of x", name + ": span of x"}, run(t, none, fn, nothing))
		})
	}
	for name, end := range map[string]func() error{
		msgRefused: func() error { return core.ErrRejected },
		msgFailed:  func() error { panic("a middleware") },
	} {
		inBubble(t, name+" before the Func", func(t *testing.T) {
			inner := around(func(context.Context, *core.Task, core.Handler) error { return end() })
			require.Equal(t, []string{msgCreated + ": spawn of x", name + ": span of x"}, run(t, inner, succeed, nothing))
		})
	}
	inBubble(t, msgOverdue, func(t *testing.T) {
		seen := run(t, none, ignore(time.Minute), func(_ *core.Manager, task *core.Task) {
			time.Sleep(time.Second)
			task.Cancel()
		})
		require.Contains(t, seen, msgOverdue+": span of x")
	})
	inBubble(t, msgLeftOver, func(t *testing.T) {
		seen := run(t, none, ignore(time.Minute), func(m *core.Manager, _ *core.Task) { _ = m.Close() })
		require.Contains(t, seen, msgLeftOver+": span of x")
	})
	inBubble(t, msgRefused, func(t *testing.T) {
		seen := run(t, none, succeed, func(m *core.Manager, _ *core.Task) {
			_ = m.Close()
			m.Go(context.WithValue(t.Context(), key("span"), "request"), "y", succeed)
		})
		require.Contains(t, seen, msgRefused+": request")
	})
}

// enabled is h for every level: slog.DiscardHandler is for none.
func (h contextHandler) enabled() slog.Handler { return everyLevel{h} }

type everyLevel struct{ slog.Handler }

func (everyLevel) Enabled(context.Context, slog.Level) bool { return true }

func TestLevelsAreTheHandlersToDecide(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(core.WithLogger(slog.New(slog.NewJSONHandler(&log, nil)))) // INFO
		m.Go(t.Context(), "quiet", succeed)
		m.Go(t.Context(), "loud", fail)
		require.NoError(t, m.Wait(t.Context()))
		require.Len(t, log.lines(t), 1)
		require.Equal(t, msgFailed, log.lines(t)[0].msg())
	})
}

// The default is slog.Default at the time of each line, so that it may be set after New.
func TestDefaultLogger(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for name, opts := range map[string][]core.Option{"no option": nil, "nil": {core.WithLogger(nil)}} {
		inBubble(t, name, func(t *testing.T) {
			var log logbook
			m := core.New(opts...)
			slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
			m.Go(t.Context(), "loud", fail)
			require.NoError(t, m.Wait(t.Context()))
			synctest.Wait()
			require.Equal(t, "loud", log.only(t, msgFailed).task()["name"])
		})
	}
}
