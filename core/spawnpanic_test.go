package core_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promise 4, of Spawns that panic, exit or return no context.

// spawnAndRun returns a middleware that notes both moments of a task.
func spawnAndRun(name string, notes *journal, spawn func(context.Context) context.Context) core.Middleware {
	mw := around(func(ctx context.Context, t *core.Task, next core.Handler) error {
		notes.add("run " + name)
		defer notes.add("end " + name)
		return next(ctx, t)
	})
	mw.Spawn = func(ctx context.Context, _ *core.Task) context.Context {
		notes.add("spawn " + name)
		if spawn != nil {
			return spawn(ctx)
		}
		return context.WithValue(ctx, key(name), "begun")
	}
	return mw
}

// What earlier Spawns began has to be ended: so the chain runs, but neither the later Spawns nor fn.
func TestSpawnThatDoesNotReturnAContext(t *testing.T) {
	for name, tc := range map[string]struct {
		spawn func(context.Context) context.Context
		err   string
	}{
		"panics":          {func(context.Context) context.Context { panic("spawn") }, "panic: spawn"},
		"panics with nil": {func(context.Context) context.Context { panic(nil) }, ""}, // the text is the runtime's
		"returns nil":     {func(context.Context) context.Context { return nil }, "panic: afterspan: a Spawn hook returned a nil context (hook 1"},
	} {
		for limit, opt := range map[string]core.Option{"no limit": core.WithLimit(0, 0), "limit": core.WithLimit(1, 1)} {
			inBubble(t, name+"/"+limit, func(t *testing.T) {
				var notes journal
				broken := spawnAndRun("b", &notes, tc.spawn)
				m := newManager(opt, core.WithMiddleware(spawnAndRun("a", &notes, nil), broken, spawnAndRun("c", &notes, nil)))
				for range 3 { // no slot stays reserved
					notes = journal{}
					task := m.Go(t.Context(), "x", func(context.Context) error {
						assert.Fail(t, "Func was called")
						return nil
					})
					assertOutcome(t, core.Failed, task)
					require.ErrorContains(t, task.Err(), tc.err)
					require.Equal(t, []string{"spawn a", "spawn b", "run a", "run b", "run c", "end c", "end b", "end a"}, notes.all())
				}
				require.Equal(t, core.Stats{Created: 3, Failed: 3}, counts(m))
				require.NoError(t, m.Close())
			})
		}
	}
}

// lost is a context that looks like one and is none.
type lost struct{ context.Context }

// halfLost is one whose Done alone works.
type halfLost struct{ lost }

func (halfLost) Done() <-chan struct{} { return make(chan struct{}) }

// noDeadline is one whose Deadline alone does not.
type noDeadline struct{ context.Context }

func (noDeadline) Done() <-chan struct{}       { return make(chan struct{}) }
func (noDeadline) Deadline() (time.Time, bool) { panic("no deadline") }

func TestContextOfASpawnThatPanicsDoesNotEndTheProcess(t *testing.T) {
	inProcess(t, func(t *testing.T) {
		for name, broken := range map[string]context.Context{
			"a nil struct":    (*lost)(nil),
			"an empty struct": lost{},
			"half a context":  halfLost{},
			"no deadline":     noDeadline{context.Background()},
		} {
			inBubble(t, name, func(t *testing.T) {
				m := newManager(core.WithLimit(1, 0), core.WithMiddleware(spawnFunc(
					func(context.Context, *core.Task) context.Context { return broken })))
				for range 2 {
					assertOutcome(t, core.Failed, m.Go(t.Context(), "x", succeed, core.WithTimeout(time.Second)))
				}
			})
		}
	})
}

// brokenSpawn is a middleware whose Spawn panics for the task "broken".
var brokenSpawn = core.WithMiddleware(spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
	if task.Name() == "broken" {
		panic("spawn")
	}
	return ctx
}))

// The task that waits behind it gets the slot.
func TestPanicOfASpawnInTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 2), brokenSpawn)
		m.Go(t.Context(), "first", ignore(time.Second))
		broken := m.Go(t.Context(), "broken", succeed)
		last := m.Go(t.Context(), "last", succeed)
		require.Equal(t, core.Stats{Created: 3, Running: 1, Queued: 2}, counts(m))
		assertOutcome(t, core.Failed, broken)
		assertOutcome(t, core.Completed, last)
		require.EqualError(t, broken.Err(), "panic: spawn")
	})
}

// The error of its Spawn counts more than a cancel after that.
func TestCancelInTheQueueAfterAPanicOfASpawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 2), brokenSpawn)
		m.Go(t.Context(), "first", ignore(time.Second))
		broken := m.Go(t.Context(), "broken", succeed)
		broken.Cancel()
		assertOutcome(t, core.Failed, broken)
		require.EqualError(t, broken.Err(), "panic: spawn")
		require.NoError(t, m.Wait(t.Context()))
	})
}

// A middleware can change the error of a Spawn as it can change any other.
func TestErrorOfASpawnPassesTheChain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithMiddleware(
			around(func(ctx context.Context, task *core.Task, next core.Handler) error {
				first, second := next(ctx, task), next(ctx, task) // a retry
				assert.Equal(t, first, second)
				assert.Equal(t, core.Failed, task.OutcomeOf(first))
				return nil
			}),
			spawnFunc(func(context.Context, *core.Task) context.Context { panic("spawn") })))
		assertOutcome(t, core.Completed, m.Go(t.Context(), "x", succeed))
	})
}

// runtime.Goexit in a Spawn ends the goroutine of the caller. The task is not left behind.
func TestGoexitOfASpawn(t *testing.T) {
	for limit, opt := range map[string]core.Option{"no limit": core.WithLimit(0, 0), "limit": core.WithLimit(1, 0)} {
		inBubble(t, limit, func(t *testing.T) {
			var notes journal
			var spawned *core.Task
			m := newManager(opt, core.WithMiddleware(
				spawnAndRun("a", &notes, nil),
				spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
					spawned = task
					runtime.Goexit()
					return ctx
				})))
			caller := make(chan struct{})
			go func() {
				defer close(caller)
				m.Go(t.Context(), "x", succeed)
				assert.Fail(t, "Go has returned")
			}()
			<-caller
			assertOutcome(t, core.Failed, spawned)
			require.Equal(t, core.ErrGoexit, spawned.Err())
			require.Equal(t, []string{"spawn a", "run a", "end a"}, notes.all())
			require.Equal(t, core.Stats{Created: 1, Failed: 1}, counts(m))
		})
	}
}
