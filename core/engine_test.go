package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Engines other than Manager: what a Chain does for them.

// endsWith returns a Func that ends with err at once.
func endsWith(err error) core.Func { return func(context.Context) error { return err } }

func TestChainDecidesTheOutcome(t *testing.T) {
	for name, tc := range map[string]struct {
		fn      core.Func
		timeout time.Duration
		want    core.Outcome
		cause   string
	}{
		"no error":                      {fn: succeed, want: core.Completed},
		"an error":                      {fn: fail, want: core.Failed},
		"a panic":                       {fn: func(context.Context) error { panic("boom") }, want: core.Failed},
		"the timeout of the task":       {fn: obey, timeout: time.Second, want: core.TimedOut, cause: "timeout"},
		"late, and without an error":    {fn: ignore(2 * time.Second), timeout: time.Second, want: core.Completed},
		"a timeout of the engine":       {fn: endsWith(fmt.Errorf("job: %w", core.ErrTimeout)), want: core.TimedOut, cause: "timeout"},
		"a cancel of the engine":        {fn: endsWith(errors.Join(errTask, core.ErrCancelled)), want: core.Cancelled, cause: "cancel"},
		"a shutdown of the engine":      {fn: endsWith(core.ErrShutdown), want: core.Cancelled, cause: "shutdown"},
		"a context of somebody else":    {fn: endsWith(context.Canceled), want: core.Failed},
		"a deadline of somebody else":   {fn: endsWith(context.DeadlineExceeded), want: core.Failed},
		"a refusal after the Func ran":  {fn: endsWith(core.ErrRejected), want: core.Failed},
		"a panic that wraps ErrTimeout": {fn: func(context.Context) error { panic(core.ErrTimeout) }, want: core.Failed},
	} {
		inBubble(t, name, func(t *testing.T) {
			var seen core.Outcome
			var ended []core.Outcome
			chain := core.NewChain(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
				err := next(ctx, task)
				seen = task.OutcomeOf(err)
				assert.Equal(t, tc.cause, task.CauseOf(err))
				return err
			}), core.Middleware{Ended: func(_ context.Context, task *core.Task) {
				ended = append(ended, task.Outcome())
				assert.False(t, isClosed(task.Done()), "Done is closed after the hooks")
			}})
			task := core.NewAttempt(core.Attempt{Name: "job"}, core.WithTimeout(tc.timeout))
			err := chain.Run(t.Context(), task, tc.fn)
			require.Equal(t, tc.want, seen)
			require.Equal(t, tc.want, task.Outcome())
			require.Equal(t, []core.Outcome{tc.want}, ended)
			require.Equal(t, err, task.Err())
			require.True(t, isClosed(task.Done()))
			require.Equal(t, tc.want.String(), task.Info().State)
		})
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestChainEndsTheContextOfItsTask(t *testing.T) {
	inBubble(t, "by Cancel", func(t *testing.T) {
		task := core.NewAttempt(core.Attempt{Name: "job"})
		err := core.NewChain().Run(t.Context(), task, func(ctx context.Context) error {
			task.Cancel()
			<-ctx.Done()
			assert.Equal(t, core.ErrCancelled, context.Cause(ctx))
			assert.Equal(t, "cancelling", task.Info().State)
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, core.Cancelled, task.Outcome())
	})
	inBubble(t, "by a Cancel before the start", func(t *testing.T) {
		task := core.NewAttempt(core.Attempt{Name: "job"})
		task.Cancel()
		require.Error(t, core.NewChain().Run(t.Context(), task, obey))
		require.Equal(t, core.Cancelled, task.Outcome())
	})
	inBubble(t, "by Cancel too late", func(t *testing.T) {
		task := core.NewAttempt(core.Attempt{Name: "job"})
		chain := core.NewChain(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			defer task.Cancel()
			return next(ctx, task)
		}))
		require.ErrorIs(t, chain.Run(t.Context(), task, fail), errTask)
		require.Equal(t, core.Failed, task.Outcome())
	})
	inBubble(t, "with the engine's, whose cause counts", func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		task := core.NewAttempt(core.Attempt{Name: "job"})
		time.AfterFunc(time.Second, func() { stop(core.ErrShutdown) })
		require.Error(t, core.NewChain().Run(ctx, task, obey))
		require.Equal(t, core.Cancelled, task.Outcome())
		require.Equal(t, "shutdown", task.CauseOf(task.Err()))
	})
	inBubble(t, "with the engine's, for a reason that core does not know", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		task := core.NewAttempt(core.Attempt{Name: "job"})
		require.ErrorIs(t, core.NewChain().Run(ctx, task, obey), context.Canceled)
		require.Equal(t, core.Failed, task.Outcome(), "the engine has to say so")
	})
	inBubble(t, "at the end of the run", func(t *testing.T) {
		var kept context.Context
		task := core.NewAttempt(core.Attempt{Name: "job"})
		require.NoError(t, core.NewChain().Run(t.Context(), task, func(ctx context.Context) error { kept = ctx; return nil }))
		require.True(t, isDone(kept))
	})
}

func TestAttemptIsWhatTheEngineKnows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		queued := time.Now()
		time.Sleep(3 * time.Second)
		task := core.NewAttempt(core.Attempt{Name: "job", ID: 7, Number: 2, QueuedAt: queued}, core.WithAttrs(slog.Int("n", 1)))
		require.Equal(t, "pending", task.Info().State)
		require.NoError(t, core.NewChain().Run(t.Context(), task, func(ctx context.Context) error {
			inside, ok := core.TaskFromContext(ctx)
			assert.True(t, ok)
			assert.Same(t, task, inside)
			assert.Equal(t, "running", task.Info().State)
			return nil
		}))
		require.Equal(t, uint64(7), task.ID())
		require.Equal(t, 2, task.Attempt())
		require.Equal(t, 3*time.Second, task.StartedAt().Sub(task.CreatedAt()))
		require.Equal(t, []slog.Attr{slog.Int("n", 1)}, task.Attrs())

		empty := core.NewAttempt(core.Attempt{Number: -1})
		require.Equal(t, "background_task", empty.Name())
		require.Equal(t, 1, empty.Attempt())
		require.Zero(t, time.Since(empty.CreatedAt()))
		require.Equal(t, 1, core.NewTask("x").Attempt())
	})
}

// Each layer sees a panic of one inside as an error, as in a manager.
func TestChainGuardsEachLayer(t *testing.T) {
	var seen journal
	see := func(layer string, panics bool) core.Middleware {
		return around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			err := next(ctx, task)
			_, own := task.PanicOf(err)
			seen.add(fmt.Sprintf("%s: %v, own %v", layer, err, own))
			if panics {
				panic(layer)
			}
			return nil
		})
	}
	task := core.NewTask("job")
	err := core.NewChain(see("outer", true), see("inner", true)).Run(t.Context(), task, func(context.Context) error { panic("fn") })
	require.Equal(t, []string{"inner: panic: fn, own true", "outer: panic: inner, own true"}, seen.all())
	var panicked *core.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "outer", panicked.Value)
	require.Equal(t, core.Failed, task.Outcome())
}

func TestChainEndsATaskThatCallsGoexit(t *testing.T) {
	task, hooks := core.NewTask("job"), 0
	chain := core.NewChain(core.Middleware{Ended: func(context.Context, *core.Task) { hooks++ }})
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = chain.Run(context.Background(), task, func(context.Context) error { runtime.Goexit(); return nil })
		assert.Fail(t, "Run returned")
	}()
	<-over
	require.Equal(t, core.ErrGoexit, task.Err())
	require.Equal(t, core.Failed, task.Outcome())
	require.Equal(t, 1, hooks)
}

// A middleware that gives up waiting leaves a call behind. The engine must not count the task as ended.
func TestChainWaitsForACallThatAMiddlewareLeftBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began, errGaveUp := time.Now(), errors.New("gave up")
		chain := core.NewChain(around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			go func() { _ = next(ctx, task) }()
			synctest.Wait()
			return errGaveUp
		}))
		require.Equal(t, errGaveUp, chain.Run(t.Context(), core.NewTask("job"), ignore(time.Minute)))
		require.Equal(t, time.Minute, time.Since(began))
	})
}

// A middleware refuses a task by not calling the Func.
func TestChainKnowsARefusalOfAMiddleware(t *testing.T) {
	chain := core.NewChain(around(func(context.Context, *core.Task, core.Handler) error { return core.ErrRejected }))
	task := core.NewTask("job")
	require.ErrorIs(t, chain.Run(t.Context(), task, fail), core.ErrRejected)
	require.Equal(t, core.Rejected, task.Outcome())
}

func TestChainRunsATaskOnce(t *testing.T) {
	m := newManager()
	defer m.Close()
	task := core.NewTask("job")
	require.NoError(t, core.NewChain().Run(t.Context(), task, succeed))
	refused := core.NewTask("job")
	core.NewChain().Refused(t.Context(), refused, errTask)
	for name, task := range map[string]*core.Task{
		"run before": task, "refused before": refused, "of a manager": m.Go(t.Context(), "x", succeed),
	} {
		require.Panics(t, func() { _ = core.NewChain().Run(t.Context(), task, succeed) }, name)
	}
	for name, task := range map[string]*core.Task{"run": task, "refused": refused} {
		const want = "afterspan: Chain.Refused: the task was run, or refused, before"
		require.PanicsWithValue(t, want, func() { core.NewChain().Refused(t.Context(), task, errTask) }, name)
	}
	withoutReason := core.NewTask("job")
	core.NewChain().Refused(t.Context(), withoutReason, nil)
	require.Equal(t, core.ErrRejected, withoutReason.Err())
	unused := core.NewTask("job")
	require.PanicsWithValue(t, "afterspan: Chain.Run: ctx is nil", func() { _ = core.NewChain().Run(nil, unused, succeed) }) //nolint:staticcheck // that is what is tested
	require.PanicsWithValue(t, "afterspan: Chain.Run: fn is nil", func() { _ = core.NewChain().Run(t.Context(), unused, nil) })
	require.NoError(t, core.NewChain().Run(t.Context(), unused, succeed), "a wrong call spoils nothing")
}

type mark string

func TestSpawnOfAChain(t *testing.T) {
	spawn := func(name string) core.Middleware {
		return spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
			assert.NoError(t, ctx.Err(), "the cancellation of the caller stays outside")
			before, _ := ctx.Value(mark("spawns")).(string)
			return context.WithValue(ctx, mark("spawns"), before+name+" "+task.Attrs()[0].String()+" ")
		})
	}
	chain := core.NewChain(spawn("first"), core.Middleware{}, spawn("second"))
	over, cancel := context.WithCancel(core.ContextWithAttrs(t.Context(), slog.Int("user", 1), slog.Int("n", 1)))
	cancel()
	task := core.NewTask("job", core.WithAttrs(slog.Int("n", 2)))
	ctx, err := chain.Spawn(over, task)
	require.NoError(t, err)
	require.Equal(t, "first user=1 second user=1 ", ctx.Value(mark("spawns")))
	require.Equal(t, []slog.Attr{slog.Int("user", 1), slog.Int("n", 2)}, task.Attrs(), "its own attribute stands")
}

func TestSpawnOfAChainThatPanics(t *testing.T) {
	var refused []error
	chain := core.NewChain(
		spawnFunc(func(ctx context.Context, _ *core.Task) context.Context {
			return context.WithValue(ctx, mark("first"), true)
		}),
		spawnFunc(func(context.Context, *core.Task) context.Context { panic("boom") }),
		spawnFunc(func(ctx context.Context, _ *core.Task) context.Context { assert.Fail(t, "called"); return ctx }),
		core.Middleware{Refused: func(_ context.Context, task *core.Task) { refused = append(refused, task.Err()) }},
	)
	task := core.NewTask("job")
	ctx, err := chain.Spawn(t.Context(), task)
	var panicked *core.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, true, ctx.Value(mark("first")), "what the first began can be ended")
	chain.Refused(ctx, task, err)
	require.Equal(t, []error{task.Err()}, refused)
	require.ErrorIs(t, task.Err(), core.ErrRejected)
	require.ErrorIs(t, task.Err(), err)
	require.Equal(t, core.Rejected, task.Outcome())
	require.True(t, isClosed(task.Done()))
}

func TestRefusedKeepsAnErrorThatIsARefusal(t *testing.T) {
	task := core.NewTask("job")
	core.NewChain().Refused(t.Context(), task, core.ErrFull)
	require.Equal(t, core.ErrFull, task.Err())
}

func TestEnqueuedIsForEnginesOnly(t *testing.T) {
	var calls journal
	hook := func(_ context.Context, task *core.Task) { calls.add(task.String()) }
	panics := core.Middleware{Enqueued: func(context.Context, *core.Task) { panic("boom") }}
	chain := core.NewChain(panics, core.Middleware{Enqueued: hook})
	chain.Enqueued(t.Context(), core.NewTask("job"), 7)
	m := newManager(core.WithMiddleware(core.Middleware{Enqueued: hook}))
	m.Go(t.Context(), "task", succeed)
	require.NoError(t, m.Close())
	require.Equal(t, []string{"job#7"}, calls.all())
}
