package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Keyed: which task waits for which, and until when. Bounds are in keyed_bounds_test.go.

// noting is a Func that writes its name down, and takes a second.
func noting(j *journal, name string) core.Func {
	return func(context.Context) error { j.add(name); time.Sleep(time.Second); return nil }
}

// slow is a middleware whose Spawn takes d for the tasks of that name.
func slow(name string, d time.Duration) core.Option {
	return core.WithMiddleware(spawnFunc(func(ctx context.Context, task *core.Task) context.Context {
		if task.Name() == name {
			time.Sleep(d)
		}
		return ctx
	}))
}

// The variables have no lock. So the race detector checks that each task starts after the one before has ended.
func TestTasksOfAKeyRunOneAfterAnotherInOrderOfAcceptance(t *testing.T) {
	for name, opts := range map[string][]core.Option{
		"without a limit":        nil,
		"with more slots":        {core.WithLimit(4, -1)},
		"with one slot":          {core.WithLimit(1, -1)},
		"with a queue that fits": {core.WithLimit(2, 99)},
		"whose Spawns are slow":  {slow("7", time.Minute)},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(opts...)
			option := core.WithKey(&core.Keyed{}, "thread-1") // one for all: it is no task's own
			var running int
			var order []uint64
			for i := range 50 {
				go m.Go(t.Context(), fmt.Sprint(i), func(ctx context.Context) error {
					running++
					assert.Equal(t, 1, running)
					order = append(order, task(ctx).ID())
					time.Sleep(time.Second)
					running--
					return nil
				}, option)
				synctest.Wait()
			}
			require.LessOrEqual(t, m.Stats().Running, 1)
			require.NoError(t, m.Wait(t.Context()))
			require.Len(t, order, 50)
			for i, id := range order {
				require.EqualValues(t, i+1, id)
			}
		})
	}
}

func TestNextOfAKeyStartsHoweverTheOneBeforeEnds(t *testing.T) {
	// ofFirst is a middleware that acts on the first task alone.
	ofFirst := func(spawn func(), run core.Handler) core.Option {
		return core.WithMiddleware(mischievousFirst(spawn, run))
	}
	leave := func(ctx context.Context, task *core.Task) error { return nil }
	for name, tc := range map[string]struct {
		first  core.Func
		option core.Option
		after  time.Duration
	}{
		"completed":                      {ignore(time.Minute), nil, time.Minute},
		"failed":                         {ignoreAndFail(time.Minute), nil, time.Minute},
		"panicked":                       {func(context.Context) error { panic("no") }, nil, 0},
		"by Goexit":                      {func(context.Context) error { runtime.Goexit(); return nil }, nil, 0},
		"timed out":                      {obey, nil, time.Hour},
		"timed out, but went on":         {ignoreAndFail(2 * time.Hour), nil, 2 * time.Hour},
		"its Spawn panicked":             {succeed, ofFirst(func() { panic("no") }, nil), 0},
		"its Spawn ended by Goexit":      {succeed, ofFirst(runtime.Goexit, nil), 0},
		"its Spawn took long":            {ignore(time.Second), slow("first", time.Minute), 61 * time.Second},
		"a middleware did not call next": {succeed, ofFirst(nil, leave), 0},
		"a middleware left it behind":    {ignore(time.Minute), core.WithMiddleware(impatient()), time.Minute},
		"a log handler ended by Goexit":  {succeed, logTo(func(context.Context, slog.Record) { runtime.Goexit() }), 0},
		"there is a limit":               {ignoreAndFail(time.Minute), core.WithLimit(2, 1), time.Minute},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(tc.option)
			option, begin := core.WithKey(&core.Keyed{}, "k"), time.Now()
			go m.Go(t.Context(), "first", tc.first, option, core.WithTimeout(time.Hour))
			synctest.Wait()
			took := time.Duration(-1)
			go m.Go(t.Context(), "second", func(context.Context) error { took = time.Since(begin); return nil }, option)
			synctest.Wait()
			require.NoError(t, m.Wait(t.Context()))
			requireBalanced(t, m.Stats())
			require.EqualValues(t, 2, m.Stats().Created)
			require.Equal(t, tc.after, took)
		})
	}
}

// mischievousFirst returns a middleware that only looks at the task called first.
func mischievousFirst(spawn func(), run core.Handler) core.Middleware {
	mw := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
		if run != nil && task.Name() == "first" {
			return run(ctx, task)
		}
		return next(ctx, task)
	})
	mw.Spawn = func(ctx context.Context, task *core.Task) context.Context {
		if spawn != nil && task.Name() == "first" {
			spawn()
		}
		return ctx
	}
	return mw
}

// impatient is a middleware that gives up on a Func after a second.
func impatient() core.Middleware {
	return around(func(ctx context.Context, task *core.Task, next core.Handler) error {
		ended := make(chan error, 1)
		go func() { ended <- next(ctx, task) }()
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Second):
			return errTask
		}
	})
}

// Tasks that have nothing to do with each other do not wait for each other.
func TestOnlyTasksOfOneKeyWaitForEachOther(t *testing.T) {
	s, other := &core.Keyed{}, &core.Keyed{}
	for name, second := range map[string][]core.TaskOption{
		"another key":                        {core.WithKey(s, "l")},
		"a key that is empty":                {core.WithKey(s, "")},
		"the same key of another Keyed":      {core.WithKey(other, "k")},
		"no key":                             nil,
		"where a later option takes it back": {core.WithKey(s, "k"), core.WithKey(s, "l")},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager()
			m.Go(t.Context(), "first", ignore(time.Minute), core.WithKey(s, "k"))
			m.Go(t.Context(), "second", ignore(time.Minute), second...)
			require.Equal(t, core.Stats{Created: 2, Running: 2}, counts(m))
			begin := time.Now()
			require.NoError(t, m.Wait(t.Context()))
			require.Equal(t, time.Minute, time.Since(begin))
		})
	}
}

func TestOneKeyedOfTwoManagersKeepsAnOrderForEach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		option := core.WithKey(&core.Keyed{PerKey: 2, Total: 2}, "k")
		m, n := newManager(core.WithTaskDefaults(option)), newManager(core.WithTaskDefaults(option))
		for range 2 {
			m.Go(t.Context(), "x", ignore(time.Minute))
			n.Go(t.Context(), "x", ignore(time.Second))
		}
		require.Equal(t, core.Stats{Created: 2, Running: 1, Queued: 1}, counts(m))
		require.Equal(t, core.Stats{Created: 2, Running: 1, Queued: 1}, n.Stats())
		begin := time.Now()
		require.NoError(t, n.Wait(t.Context()))
		require.Equal(t, 2*time.Second, time.Since(begin))
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, 2*time.Minute, time.Since(begin))
	})
}

// A task that waits for its turn does not hold a slot.
func TestWhoWaitsForItsTurnTakesNoSlot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(2, -1))
		var order journal
		option := core.WithKey(&core.Keyed{}, "k")
		for i := range 3 {
			m.Go(t.Context(), "x", noting(&order, fmt.Sprint("k", i)), option)
		}
		for i := range 3 {
			m.Go(t.Context(), "x", noting(&order, fmt.Sprint(i)))
			synctest.Wait()
		}
		require.Equal(t, core.Stats{Created: 6, Running: 2, Queued: 4}, counts(m))
		time.Sleep(500 * time.Millisecond)
		require.ElementsMatch(t, []string{"k0", "0"}, order.all())
		time.Sleep(time.Second) // the turn of k1 comes when 1 and 2 are waiting for a slot
		require.ElementsMatch(t, []string{"k0", "0", "1", "2"}, order.all())
		require.Equal(t, core.Stats{Created: 6, Running: 2, Queued: 2, Completed: 2}, counts(m))
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, []string{"k1", "k2"}, order.all()[4:])
	})
}

func TestWhoWaitsForItsTurnHoldsNoGoroutineAndIsListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		option := core.WithKey(&core.Keyed{}, "k")
		m.Go(t.Context(), "first", ignore(time.Minute), option)
		before := runtime.NumGoroutine()
		for range 1000 {
			m.Go(t.Context(), "x", succeed, option)
			m.Go(t.Context(), "x", ignore(time.Second))
		}
		time.Sleep(2 * time.Second)
		require.Less(t, runtime.NumGoroutine(), before+100) // the runtime counts roughly while goroutines end
		require.Equal(t, core.Stats{Created: 2001, Running: 1, Queued: 1000, Completed: 1000}, counts(m))
		infos := m.Tasks()
		require.Len(t, infos, 1001)
		require.Equal(t, "running", infos[0].State)
		for i, info := range infos[1:] {
			require.EqualValues(t, 2*i+2, info.ID)
			require.Equal(t, "queued", info.State)
		}
		require.NoError(t, m.Wait(t.Context()))
	})
}

// A task may start its own successor, which runs last, and after its parent has ended.
func TestFollowUpOfTheSameKeyRunsAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 2))
		var order journal
		option := core.WithKey(&core.Keyed{Blocking: true, PerKey: 3}, "k")
		m.Go(t.Context(), "first", func(ctx context.Context) error {
			synctest.Wait() // for the second
			followUp := m.Go(ctx, "x", noting(&order, "follow-up"), option)
			assert.Equal(t, core.Pending, followUp.Outcome())
			assert.ErrorIs(t, m.Go(ctx, "x", succeed, option).Err(), core.ErrFull, "it does not wait for its own end")
			order.add("first")
			return nil
		}, option)
		m.Go(t.Context(), "second", noting(&order, "second"), option)
		require.NoError(t, m.Wait(t.Context()))
		require.Equal(t, []string{"first", "second", "follow-up"}, order.all())
	})
}

// Only busy keys take memory: a service may have a million conversations.
func TestIdleKeysAndIdleKeyedsAreForgotten(t *testing.T) {
	const megabyte = 1 << 20
	m, s := newManager(), &core.Keyed{}
	release := make(chan struct{})
	m.Go(t.Context(), "busy", until(release), core.WithKey(s, "busy"))
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := used()
	for i := range 40 {
		key := strings.Repeat(fmt.Sprint(i%10), megabyte) + fmt.Sprint(i)
		m.Go(t.Context(), "x", succeed, core.WithKey(s, key)) // of two one waits
		require.NoError(t, m.Go(t.Context(), "x", succeed, core.WithKey(s, key)).Wait(t.Context()))
	}
	require.Less(t, used(), before+10*megabyte)

	forgotten := weak.Make(s)
	close(release)
	require.NoError(t, m.Wait(t.Context()))
	runtime.GC()
	runtime.GC()
	require.Nil(t, forgotten.Value())
	runtime.KeepAlive(m)
}

func TestWithKeyOfNothing(t *testing.T) {
	require.PanicsWithValue(t, "afterspan: WithKey: the Keyed is nil", func() { core.WithKey(nil, "k") })

	// A task that no manager knows does not hold up others.
	option := core.WithKey(&core.Keyed{PerKey: 1}, "k")
	for range 2 {
		task := core.NewTask("x", option)
		task.Cancel()
		require.Equal(t, core.Cancelled, task.OutcomeOf(errTask))
		require.Equal(t, "pending", task.Info().State)
	}
}

// With Running, so many tasks of a key run side by side. The others start in order as these end.
func TestAWidthIsHowManyOfAKeyRunAtATime(t *testing.T) {
	for _, tc := range []struct{ width, running int }{{-1, 1}, {0, 1}, {1, 1}, {2, 2}, {3, 3}, {100, 20}} {
		inBubble(t, fmt.Sprint("width ", tc.width), func(t *testing.T) {
			m, serial, started := newManager(), &core.Keyed{Running: tc.width}, &journal{}
			for i := range 20 {
				m.Go(t.Context(), "x", func(ctx context.Context) error {
					started.add(fmt.Sprint(i))
					return during(time.Second)(ctx)
				}, core.WithKey(serial, "k"))
				synctest.Wait()
			}
			other := m.Go(t.Context(), "x", during(time.Second), core.WithKey(serial, "another"))
			synctest.Wait()
			require.Equal(t, tc.running+1, m.Stats().Running)
			require.Equal(t, 20-tc.running, m.Stats().Queued)
			began := time.Now()
			require.NoError(t, other.Wait(t.Context()))
			require.NoError(t, m.Wait(t.Context()))
			require.Equal(t, time.Duration((20+tc.running-1)/tc.running)*time.Second, time.Since(began))
			for i, line := range started.all() {
				n, err := strconv.Atoi(line)
				require.NoError(t, err)
				require.InDelta(t, i, n, float64(tc.running-1), "those of one width start at the same moment")
			}
			require.NoError(t, m.Close())
		})
	}
}

// A task that is cancelled while it waits, or while it runs, makes room for one task and not for two.
func TestAWidthHoldsThroughCancels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, serial := newManager(core.WithLimit(3, -1)), &core.Keyed{Running: 2}
		var tasks []*core.Task
		for range 12 {
			tasks = append(tasks, m.Go(t.Context(), "x", obey, core.WithKey(serial, "k")))
		}
		synctest.Wait()
		for _, i := range []int{5, 2, 0, 7, 1, 3} {
			tasks[i].Cancel()
			synctest.Wait()
			require.Equal(t, 2, m.Stats().Running)
		}
		require.Equal(t, core.Stats{Created: 12, Cancelled: 6, Running: 2, Queued: 4}, counts(m))
		require.NoError(t, m.Close())
	})
}
