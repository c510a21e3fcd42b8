package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The manager and the handle, apart from the promises.

func TestMisusePanicsInTheCaller(t *testing.T) {
	m := newManager()
	var none context.Context
	for name, misuse := range map[string]func(){
		"Go without a context":               func() { m.Go(none, "x", succeed) },
		"Go of a zero Manager":               func() { new(core.Manager).Go(t.Context(), "x", succeed) },
		"Go without a Func":                  func() { m.Go(t.Context(), "x", nil) },
		"Group without a context":            func() { m.Group(none) },
		"WithKey of nothing":                 func() { core.WithKey(nil, "k") },
		"Shutdown without a context":         func() { _, _ = m.Shutdown(none) },
		"NewContext without a context":       func() { core.NewContext(none, m) },
		"ContextWithAttrs without a context": func() { core.ContextWithAttrs(none) },
		"a nil wrap":                         func() { core.MiddlewareFunc(nil) },
		"a Wrap that returns nil": func() {
			newManager(core.WithMiddleware(around(nil), core.MiddlewareFunc(func(core.Handler) core.Handler { return nil })))
		},
		"a Wrap that panics, from New": func() {
			newManager(core.WithMiddleware(core.MiddlewareFunc(func(core.Handler) core.Handler { panic("afterspan: no") })))
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() { require.Regexp(t, "^afterspan: ", recover()) }()
			misuse()
		})
	}
	// The caller may recover: it left nothing behind.
	require.Equal(t, core.Stats{}, counts(m))
	require.NoError(t, m.Close())
}

func TestNilOptionsDoNothing(t *testing.T) {
	m := newManager(nil, core.WithTaskDefaults(nil), core.WithMiddleware())
	task := m.Go(t.Context(), "x", succeed, nil, core.WithTimeout(time.Minute), nil)
	require.Equal(t, time.Minute, task.Timeout())
	require.NoError(t, task.Wait(t.Context()))
	require.Equal(t, "x", core.NewTask("x", nil).Name())
}

func TestNewStartsNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	managers := make([]*core.Manager, 1000)
	for i := range managers {
		managers[i] = newManager(core.WithLimit(5, 5))
	}
	require.Less(t, runtime.NumGoroutine(), before+100)
	runtime.KeepAlive(managers)
}

func TestWait(t *testing.T) {
	inBubble(t, "returns at once where nothing runs", func(t *testing.T) {
		m := newManager()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, m.Wait(over), "also with a context that is over")
		m.Go(t.Context(), "x", succeed)
		require.NoError(t, m.Wait(t.Context()))
		require.NoError(t, m.Wait(over))
	})
	inBubble(t, "returns when all have ended, and not their errors", func(t *testing.T) {
		m := newManager(core.WithLimit(2, -1))
		begin := time.Now()
		for range 10 {
			m.Go(t.Context(), "x", ignoreAndFail(time.Second))
		}
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, 5*time.Second, time.Since(begin))
		require.EqualValues(t, 10, m.Stats().Failed)
	})
	inBubble(t, "returns the context's error, and cancels nothing", func(t *testing.T) {
		m := newManager()
		task := m.Go(t.Context(), "x", during(time.Minute))
		begin := time.Now()
		require.Equal(t, context.DeadlineExceeded, m.Wait(seconds(t, time.Second)))
		require.Equal(t, time.Second, time.Since(begin))
		require.Equal(t, "running", task.Info().State)
		assertOutcome(t, core.Completed, task)
	})
	inBubble(t, "waits for nested tasks", func(t *testing.T) {
		m := newManager()
		var nest func(depth int) core.Func
		var ended atomic.Int32
		nest = func(depth int) core.Func {
			return func(ctx context.Context) error {
				if depth > 0 {
					m.Go(ctx, "nested", nest(depth-1))
				}
				ended.Add(1)
				return nil
			}
		}
		m.Go(t.Context(), "outer", nest(100))
		require.NoError(t, m.Wait(t.Context()))
		require.EqualValues(t, 101, ended.Load())
	})
	inBubble(t, "is not for one caller alone", func(t *testing.T) {
		m := newManager()
		m.Go(t.Context(), "x", ignore(time.Second))
		for range 10 {
			go func() { assert.NoError(t, m.Wait(t.Context())) }()
		}
		require.NoError(t, m.Wait(t.Context()))
		m.Go(t.Context(), "y", ignore(time.Second))
		require.NoError(t, m.Wait(t.Context()), "and not for once")
	})
}

func TestCancelAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(2, 5))
		for range 5 {
			m.Go(t.Context(), "before", obey)
		}
		m.CancelAll()
		after := m.Go(t.Context(), "after", succeed)
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, core.Completed, after.Outcome(), "new tasks are still taken")
		require.Equal(t, core.Stats{Created: 6, Completed: 1, Cancelled: 5}, counts(m))
		m.CancelAll() // of nothing
	})
}

// slowToCancel is a context whose children are told of a cancel at once, but take a second to leave it.
type slowToCancel struct{ context.Context }

func (slowToCancel) Value(any) any { return nil } // it is a context of an unknown type

func (c slowToCancel) AfterFunc(f func()) func() bool {
	stop := context.AfterFunc(c.Context, f)
	return func() bool { time.Sleep(time.Second); return stop() }
}

// The slot of a cancelled task does not go to a task that was cancelled with it.
func TestCancellingAllStartsNothing(t *testing.T) {
	for name, cancel := range map[string]func(*core.Manager){
		"CancelAll": func(m *core.Manager) { m.CancelAll() },
		"Close":     func(m *core.Manager) { _ = m.Close() },
		"Shutdown":  func(m *core.Manager) { _, _ = m.Shutdown(over) },
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(core.WithLimit(1, -1), core.WithMiddleware(spawnFunc(func(context.Context, *core.Task) context.Context {
				return slowToCancel{t.Context()}
			})))
			var started atomic.Int32
			for range 3 {
				m.Go(t.Context(), "x", func(ctx context.Context) error {
					started.Add(1)
					return obey(ctx)
				})
			}
			synctest.Wait()
			cancel(m)
			require.NoError(t, m.Wait(t.Context()))
			require.EqualValues(t, 1, started.Load())
			require.Equal(t, core.Stats{Created: 3, Cancelled: 3}, counts(m))
		})
	}
}

func TestTasksIsASnapshotOldestFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(2, -1), core.WithMiddleware(around(
			func(ctx context.Context, task *core.Task, next core.Handler) error {
				defer time.Sleep(time.Second) // so that the cancelled ones stay a while
				return next(ctx, task)
			})))
		out, err := json.Marshal(m.Tasks())
		require.NoError(t, err)
		require.Equal(t, "[]", string(out), "an empty list is a list")
		var tasks []*core.Task
		for range 6 {
			tasks = append(tasks, m.Go(t.Context(), "x", ignore(time.Minute)))
		}
		tasks[4].Cancel()
		tasks[3].Cancel()
		tasks[0].Cancel()
		synctest.Wait()

		var states []string
		for i, info := range m.Tasks() {
			require.EqualValues(t, i+1, info.ID)
			require.False(t, info.Done)
			states = append(states, info.State)
		}
		require.Equal(t, []string{"cancelling", "running", "queued", "cancelling", "cancelling", "queued"}, states)
		require.NoError(t, m.Wait(t.Context()))
		require.Empty(t, m.Tasks())
	})
}

func TestTaskDefaultsComeBeforeATasksOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(
			core.WithTaskDefaults(core.WithTimeout(time.Minute), core.WithAttrs(slog.String("service", "mail"))),
			core.WithTaskDefaults(core.WithAttrs(slog.String("region", "eu"))))
		plain := m.Go(t.Context(), "plain", succeed)
		require.Equal(t, time.Minute, plain.Timeout())
		require.Equal(t, []slog.Attr{slog.String("service", "mail"), slog.String("region", "eu")}, plain.Attrs())

		own := m.Go(t.Context(), "own", succeed, core.WithTimeout(time.Second), core.WithAttrs(slog.String("thread_id", "t1")))
		require.Equal(t, time.Second, own.Timeout())
		require.Equal(t, []slog.Attr{slog.String("service", "mail"), slog.String("region", "eu"), slog.String("thread_id", "t1")}, own.Attrs())

		none := m.Go(t.Context(), "none", succeed, core.WithTimeout(-time.Second))
		require.Zero(t, none.Timeout(), "0 or less takes the limit away")
		require.NoError(t, m.Wait(t.Context()))
	})
}

func TestHandle(t *testing.T) {
	inBubble(t, "knows its times", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		begin := time.Now()
		m.Go(t.Context(), "first", ignore(time.Second))
		queued := m.Go(t.Context(), "queued", ignore(time.Second))
		require.True(t, begin.Equal(queued.CreatedAt()))
		require.True(t, queued.StartedAt().IsZero())
		require.NoError(t, queued.Wait(t.Context()))
		require.True(t, begin.Add(time.Second).Equal(queued.StartedAt()))
		require.Equal(t, 2*time.Second, queued.Info().Age)
	})
	inBubble(t, "counts from 1", func(t *testing.T) {
		m := newManager(core.WithLimit(2, 0))
		for id := range uint64(2) {
			require.Equal(t, id+1, m.Go(t.Context(), "x", ignore(1)).ID())
		}
		require.Zero(t, m.Go(t.Context(), "refused", succeed).ID(), "a refused task has no number")
		require.NoError(t, m.Wait(t.Context()))
		require.EqualValues(t, 3, m.Go(t.Context(), "x", succeed).ID(), "and takes none")
	})
	inBubble(t, "may be waited for, for a while", func(t *testing.T) {
		m := newManager()
		task := m.Go(t.Context(), "x", ignoreAndFail(time.Minute))
		require.Equal(t, context.DeadlineExceeded, task.Wait(seconds(t, time.Second)))
		require.Equal(t, core.Pending, task.Outcome(), "and goes on")
		require.Equal(t, errTask, task.Wait(t.Context()))
		over, cancel := context.WithCancel(t.Context())
		cancel()
		require.Equal(t, errTask, task.Wait(over), "the task's error once it is done")
	})
	inBubble(t, "has a name for print", func(t *testing.T) {
		m := newManager()
		require.Equal(t, "send_receipt#1", m.Go(t.Context(), "send_receipt", succeed).String())
	})
	inBubble(t, "has a name in any case", func(t *testing.T) {
		m := newManager()
		require.Equal(t, "background_task", m.Go(t.Context(), "", succeed).Name())
		require.Equal(t, "background_task", core.NewTask("").Name())
	})
}

// A timeout counts from the start of the run, not from the queue. The largest timeout never fires.
func TestTimeoutCountsFromTheStartOfTheRun(t *testing.T) {
	inBubble(t, "after the queue", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		m.Go(t.Context(), "first", ignore(time.Hour))
		begin := time.Now()
		task := m.Go(t.Context(), "queued", obey, core.WithTimeout(time.Minute))
		assertOutcome(t, core.TimedOut, task)
		require.Equal(t, time.Hour+time.Minute, time.Since(begin))
	})
	for queued, name := range map[time.Duration]string{0: "started at once", time.Hour: "queued before"} {
		inBubble(t, "the largest duration is no limit/"+name, func(t *testing.T) {
			var log logbook
			m := core.New(log.option(), core.WithLimit(1, 1))
			first := m.Go(t.Context(), "first", ignore(queued))
			if queued == 0 {
				require.NoError(t, first.Wait(t.Context()))
			}
			task := m.Go(t.Context(), "x", during(time.Hour), core.WithTimeout(1<<63-1))
			assertOutcome(t, core.Completed, task)
			require.Empty(t, log.with(t, msgOverdue))
		})
	}
}

// Whoever keeps a handle keeps neither the Func with all that it refers to nor the manager's time.
func TestHandleDoesNotKeepTheFunc(t *testing.T) {
	m := newManager()
	payload := new([1 << 16]byte)
	seen := weak.Make(payload)
	task := m.Go(t.Context(), "x", func(context.Context) error { payload[0]++; return nil })
	require.NoError(t, task.Wait(t.Context()))
	require.NoError(t, m.Close())
	requireCollected(t, seen)
	runtime.KeepAlive(task)
	runtime.KeepAlive(m)
}

// A timer that is still set keeps its manager in memory, and will run code of it. The runtime may keep a
// stopped one, too, for as long as it has many others: so this runs where there are none.
func TestClosedManagerIsGarbage(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for name, use := range map[string]func(*core.Manager){
			"tasks with a timeout ended before": func(m *core.Manager) {
				_ = m.Go(t.Context(), "x", succeed, core.WithTimeout(time.Hour)).Wait(t.Context())
			},
			"a task with a timeout was cancelled": func(m *core.Manager) {
				m.Go(t.Context(), "x", obey, core.WithTimeout(time.Hour))
			},
			"a task was cancelled before": func(m *core.Manager) {
				task := m.Go(t.Context(), "x", obey)
				task.Cancel()
				_ = task.Wait(t.Context())
			},
		} {
			t.Run(name, func(t *testing.T) {
				m := newManager()
				seen := weak.Make(m)
				use(m)
				require.NoError(t, m.Close())
				requireCollected(t, seen)
			})
		}
	})
}

// requireCollected checks that nothing refers to p any more.
func requireCollected[T any](t *testing.T, p weak.Pointer[T]) {
	t.Helper()
	for range 10 { // the goroutine that referred to it last may still be ending
		runtime.GC()
		if p.Value() == nil {
			return
		}
		runtime.Gosched()
	}
	require.Fail(t, "is still referred to")
}

func TestNewTaskIsATaskThatNoManagerKnows(t *testing.T) {
	task := core.NewTask("send_receipt", core.WithTimeout(time.Second), core.WithAttrs(slog.Int("n", 1)))
	require.Equal(t, "send_receipt", task.Name())
	require.Zero(t, task.ID())
	require.Equal(t, time.Second, task.Timeout())
	require.Equal(t, []slog.Attr{slog.Int("n", 1)}, task.Attrs())
	require.False(t, task.CreatedAt().IsZero())
	require.True(t, task.StartedAt().IsZero())
	require.Equal(t, core.Pending, task.Outcome())
	require.NoError(t, task.Err())
	require.Equal(t, "pending", task.Info().State)
	require.False(t, task.Info().Done)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, context.Canceled, task.Wait(over), "it never ends")

	require.Equal(t, core.Completed, task.OutcomeOf(nil))
	require.Equal(t, core.Failed, task.OutcomeOf(errTask))
	require.Equal(t, core.Failed, task.OutcomeOf(context.Canceled), "a bare one may be anybody's")
	require.Equal(t, core.TimedOut, task.OutcomeOf(errors.Join(errTask, core.ErrTimeout)))
	require.Equal(t, core.Cancelled, task.OutcomeOf(core.ErrCancelled))
	require.Equal(t, core.Cancelled, task.OutcomeOf(core.ErrShutdown))
	require.Equal(t, core.Failed, task.OutcomeOf(core.ErrGoexit))
	task.Cancel()
	require.Equal(t, core.Cancelled, task.OutcomeOf(errTask))
	require.Equal(t, core.Failed, task.OutcomeOf(&core.PanicError{Value: 1}))
	require.Equal(t, core.Completed, task.OutcomeOf(nil))
	require.Equal(t, core.Pending, task.Outcome())
}
