package core_test

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// A log handler is code of the user's. It is never called under a lock, and what it does harms no task.

// handlerFunc is a log handler.
type handlerFunc func(context.Context, slog.Record)

func (f handlerFunc) Enabled(context.Context, slog.Level) bool        { return true }
func (f handlerFunc) Handle(ctx context.Context, r slog.Record) error { f(ctx, r); return nil }
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler              { return f }
func (f handlerFunc) WithGroup(string) slog.Handler                   { return f }
func logTo(f func(context.Context, slog.Record)) core.Option {
	return core.WithLogger(slog.New(handlerFunc(f)))
}

// enabledFunc is one that misbehaves before it is asked to handle anything.
type enabledFunc struct {
	handlerFunc
	enabled func()
}

func (f enabledFunc) Enabled(context.Context, slog.Level) bool { f.enabled(); return true }

// everyLine makes a manager WithLimit(2, 6) log all that there is: a task of each outcome, refusals,
// one that is overdue, and a shutdown with tasks left over.
func everyLine(t *testing.T, m *core.Manager) {
	t.Helper()
	tasks := []*core.Task{
		m.Go(t.Context(), "completes", after(1, succeed)),
		m.Go(t.Context(), "fails", after(1, fail)),
		m.Go(t.Context(), "panics", explode),
		m.Go(t.Context(), "times_out", obey, core.WithTimeout(time.Second)),
		m.Go(t.Context(), "cancelled", obey),
		m.Go(t.Context(), "deaf", ignore(time.Hour), core.WithTimeout(time.Second)),
		m.Go(t.Context(), "deaf", ignore(time.Hour)),
		m.Go(t.Context(), "queued", ignore(time.Hour)),
	}
	m.Go(t.Context(), "refused", succeed)
	time.Sleep(3 * time.Second)
	tasks[4].Cancel()
	time.Sleep(time.Minute)
	_, err := m.Shutdown(seconds(t, time.Minute))
	require.Error(t, err)
	require.Error(t, m.Close())
	require.Equal(t, core.ErrClosed, m.Go(t.Context(), "refused", succeed).Err())
	for _, task := range tasks {
		requireEnds(t, task)
	}
	require.Equal(t, core.Stats{Created: 10, Completed: 3, Failed: 2, Cancelled: 2, TimedOut: 1, Rejected: 2}, counts(m))
}

func TestHandlerThatPanicsHarmsNoTask(t *testing.T) {
	panics := handlerFunc(func(context.Context, slog.Record) { panic("handler") })
	for name, handler := range map[string]slog.Handler{
		"in Handle":  panics,
		"in Enabled": enabledFunc{panics, func() { panic("enabled") }},
	} {
		inBubble(t, name, func(t *testing.T) {
			everyLine(t, core.New(core.WithLogger(slog.New(handler)), core.WithLimit(2, 6), core.WithShutdownTimeout(time.Second)))
		})
	}
}

func TestHandlerThatCallsGoexitHarmsNoTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked atomic.Int32
		m := core.New(core.WithLimit(1, 2), logTo(func(_ context.Context, r slog.Record) {
			if r.Message != msgCreated { // that is on the caller's goroutine
				asked.Add(1)
				runtime.Goexit()
			}
		}))
		for _, want := range []core.Outcome{core.Completed, core.Failed, core.TimedOut} {
			fn := map[core.Outcome]core.Func{core.Completed: succeed, core.Failed: explode, core.TimedOut: obey}[want]
			assertOutcome(t, want, m.Go(t.Context(), "x", fn, core.WithTimeout(time.Second)))
		}
		require.EqualValues(t, 3, asked.Load())
		require.Equal(t, core.Stats{Created: 3, Completed: 1, Failed: 1, TimedOut: 1}, counts(m))
	})
}

// The goroutine that calls Go ends then, but the task that was accepted does not hang.
func TestHandlerThatEndsTheCallerOfGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := core.New(core.WithLimit(1, 0), logTo(func(_ context.Context, r slog.Record) {
			if r.Message == msgCreated {
				runtime.Goexit()
			}
		}))
		var ran atomic.Bool
		go m.Go(t.Context(), "x", func(context.Context) error { ran.Store(true); return nil })
		synctest.Wait()
		require.True(t, ran.Load())
		require.Equal(t, core.Stats{Created: 1, Completed: 1}, counts(m))
	})
}

// A handler may be slow, at a full disk. That holds up the task that logs, and nobody else.
func TestHandlerThatBlocksHoldsUpNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		m := core.New(core.WithLimit(2, 0), logTo(func(_ context.Context, r slog.Record) {
			if r.Message == msgFailed {
				<-release
			}
		}))
		stuck := m.Go(t.Context(), "fails", fail)
		synctest.Wait()
		require.Equal(t, core.Pending, stuck.Outcome(), "its end is not logged yet")
		require.Equal(t, core.Stats{Created: 1, Running: 1}, counts(m))
		require.Equal(t, "running", m.Tasks()[0].State)
		assertOutcome(t, core.Completed, m.Go(t.Context(), "completes", succeed))
		stuck.Cancel()
		m.CancelAll()

		begin := time.Now()
		stats, err := m.Shutdown(seconds(t, time.Second))
		require.Error(t, err)
		require.Equal(t, 1, stats.RemainingTasks)
		require.Equal(t, time.Second, time.Since(begin))
		close(release)
		assertOutcome(t, core.Failed, stuck)
	})
}

// When the time of a shutdown is over, a handler that takes long for each line does not get all of them.
func TestSlowHandlerDoesNotHoldUpTheEndOfAShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lines atomic.Int32
		m := core.New(core.WithShutdownTimeout(10*time.Second), logTo(func(_ context.Context, r slog.Record) {
			if r.Message == msgLeftOver {
				lines.Add(1)
				time.Sleep(400 * time.Millisecond)
			}
		}))
		for range 20 {
			m.Go(t.Context(), "deaf", ignore(11*time.Second))
		}
		begin := time.Now()
		require.Error(t, m.Close())
		require.Less(t, time.Since(begin), 12*time.Second)
		require.Positive(t, lines.Load())
		require.NoError(t, m.Close())
	})
}

// nosy calls everything that it can reach. Under a lock that would be a deadlock.
func nosy(m **core.Manager, ctx context.Context) {
	_ = (*m).Stats()
	_ = (*m).Tasks()
	_ = (*m).Wait(over)
	_, _ = ctx.Deadline()
	_ = context.Cause(ctx)
	_ = ctx.Value(key("k"))
	if isDone(ctx) {
		_ = ctx.Err()
	}
	if task, ok := core.TaskFromContext(ctx); ok {
		_ = task.Info()
		_ = task.Attrs()
		_ = task.StartedAt()
		_ = task.OutcomeOf(errTask)
		_ = task.Err()
		_ = task.Wait(over)
		_ = task.String()
	}
}

var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// nosyValue is an attribute that does the same when it is resolved.
type nosyValue struct{ m **core.Manager }

func (v nosyValue) LogValue() slog.Value {
	nosy(v.m, context.Background())
	return slog.StringValue("resolved")
}

func TestNoCodeOfTheUsersIsCalledUnderALock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m *core.Manager
		json := slog.NewJSONHandler(io.Discard, nil) // resolves the attributes
		m = core.New(core.WithLimit(2, 6), core.WithShutdownTimeout(time.Second),
			core.WithTaskDefaults(core.WithAttrs(slog.Any("nosy", nosyValue{&m}))),
			core.WithMiddleware(
				spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
					nosy(&m, ctx)
					_ = task.Info()
					return ctx
				}),
				around(func(ctx context.Context, task *core.Task, next core.Handler) error {
					nosy(&m, ctx)
					defer nosy(&m, ctx)
					return next(ctx, task)
				})),
			logTo(func(ctx context.Context, r slog.Record) {
				nosy(&m, ctx)
				assert.NoError(t, json.Handle(ctx, r))
				for _, info := range m.Tasks() {
					_, err := info.MarshalJSON()
					assert.NoError(t, err)
				}
			}))
		everyLine(t, m)
	})
}

// A handler that reports errors as tasks starts one while a line of that very manager is written.
func TestHandlerMayStartAndCancelTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m *core.Manager
		m = core.New(core.WithLimit(1, -1), logTo(func(ctx context.Context, r slog.Record) {
			switch r.Message {
			case msgFailed, msgOverdue, msgBegan:
				m.Go(ctx, "report", obey)
				m.CancelAll()
			}
		}))
		m.Go(t.Context(), "fails", fail)
		synctest.Wait()
		m.Go(t.Context(), "deaf", ignore(time.Minute), core.WithTimeout(time.Second))
		time.Sleep(30 * time.Second)
		_, err := m.Shutdown(seconds(t, time.Hour))
		require.NoError(t, err)
		require.Equal(t, core.Stats{Created: 5, Completed: 1, Failed: 1, Cancelled: 2, Rejected: 1}, counts(m))
	})
}

// A handler may look at the context of a line at a moment when the run has not begun: of a task
// that is left over in the queue, or whose Spawns still go on.
func TestHandlerLooksAtTheContextOfATaskThatHasNotStarted(t *testing.T) {
	inBubble(t, "left over in the queue", func(t *testing.T) {
		for range 50 {
			var m *core.Manager
			m = core.New(core.WithLimit(1, -1), core.WithShutdownTimeout(0),
				logTo(func(ctx context.Context, _ slog.Record) { nosy(&m, ctx) }))
			for range 10 {
				m.Go(t.Context(), "x", during(time.Second), core.WithTimeout(time.Minute))
			}
			_ = m.Close()
			require.NoError(t, m.Wait(t.Context()))
		}
	})
	inBubble(t, "overdue in a Spawn", func(t *testing.T) {
		var m *core.Manager
		slow := spawnFunc(func(ctx context.Context, _ *core.Task) context.Context {
			time.Sleep(time.Second)
			return context.WithValue(ctx, key("k"), "v")
		})
		m = core.New(core.WithMiddleware(slow, slow, slow, slow, slow, slow, slow, slow, slow, slow, slow, slow),
			logTo(func(ctx context.Context, _ slog.Record) { nosy(&m, ctx) }))
		go m.Go(t.Context(), "x", obey)
		synctest.Wait()
		m.CancelAll()
		time.Sleep(time.Minute)
		require.Equal(t, core.Stats{Created: 1, Cancelled: 1}, counts(m))
	})
}

// The task is attached all the same when its "created" line ends the goroutine that calls Go.
func TestHandlerThatExitsDoesNotDetachTheTask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := core.New(logTo(func(_ context.Context, r slog.Record) {
			if r.Message == msgCreated {
				runtime.Goexit()
			}
		}))
		ctx, cancel := context.WithCancel(t.Context())
		go m.Go(ctx, "x", obey, core.Attached())
		synctest.Wait()
		require.Equal(t, 1, m.Stats().Running)
		cancel()
		require.NoError(t, m.Wait(t.Context()))
		require.EqualValues(t, 1, m.Stats().Cancelled)
	})
}

// A LogValue may take a lock that the task holds which does not stop. Shutdown names the task all the same.
func TestShutdownDoesNotWaitForALogValue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := core.New(core.WithLogger(slog.New(slog.NewJSONHandler(io.Discard, nil))))
		release := make(chan struct{})
		m.Go(t.Context(), "deaf", until(release), core.WithAttrs(slog.Any("order", lockedValue(release))))
		began := time.Now()
		_, err := m.Shutdown(seconds(t, 10*time.Second))
		require.LessOrEqual(t, time.Since(began), 11*time.Second+100*time.Millisecond)
		var left *core.ShutdownError
		require.ErrorAs(t, err, &left)
		require.Equal(t, []string{"deaf"}, namesOf(left.Remaining))
		close(release)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// lockedValue is a value that cannot be read before the channel is closed.
type lockedValue chan struct{}

func (v lockedValue) LogValue() slog.Value { <-v; return slog.StringValue("o-7") }
