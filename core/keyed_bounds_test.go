package core_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Keyed: what there is room for, and who waits for room.

func TestKeyedBoundsWhatRunsAndWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		serial          core.Keyed
		opts            []core.Option
		keys            string // of the tasks, one letter each
		accepted        string // of each: 1 or 0
		running, queued int
		why             string // of the last
	}{
		"the zero value":       {core.Keyed{}, nil, "aaaaaaaaab", "1111111111", 2, 8, ""},
		"negative":             {core.Keyed{PerKey: -1, Total: -1}, nil, "aaaab", "11111", 2, 3, ""},
		"one of a key":         {core.Keyed{PerKey: 1}, nil, "aba", "110", 2, 0, `: key "a" is limited to 1 unfinished tasks`},
		"three of a key":       {core.Keyed{PerKey: 3}, nil, "aaaabbbb", "11101110", 2, 4, `: key "b" is limited to 3 unfinished tasks`},
		"in all":               {core.Keyed{Total: 4}, nil, "abcaac", "111100", 3, 1, ": its Keyed is limited to 4 unfinished tasks"},
		"both":                 {core.Keyed{PerKey: 2, Total: 3}, nil, "aaabb", "11010", 2, 1, ": its Keyed is limited to 3 unfinished tasks"},
		"of a key first":       {core.Keyed{PerKey: 1, Total: 1}, nil, "aa", "10", 1, 0, `: key "a" is limited to 1 unfinished tasks`},
		"of the empty key":     {core.Keyed{PerKey: 1, Total: 5}, nil, "-b-", "110", 2, 0, `: key "" is limited to 1 unfinished tasks`},
		"a queue that is full": {core.Keyed{}, []core.Option{core.WithLimit(9, 2)}, "aaaabcb", "1110110", 3, 2, ""},
		"no queue":             {core.Keyed{}, []core.Option{core.WithLimit(9, 0)}, "aabba", "10100", 2, 0, ""},
		"no slot":              {core.Keyed{}, []core.Option{core.WithLimit(1, 2)}, "abcd", "1110", 1, 2, ""},
		"a queue, no limit":    {core.Keyed{}, []core.Option{core.WithLimit(0, 1)}, "aaaa", "1111", 1, 3, ""},
		"a queue of any size":  {core.Keyed{}, []core.Option{core.WithLimit(1, -1)}, "aabb", "1111", 1, 3, ""},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(tc.opts...)
			try := func() (accepted string, last *core.Task) {
				for _, c := range tc.keys {
					key := map[bool]string{true: "", false: string(c)}[c == '-']
					last = m.Go(t.Context(), "x", ignore(time.Second), core.WithKey(&tc.serial, key))
					if last.Outcome() == core.Pending {
						accepted += "1"
					} else {
						accepted += "0"
						require.Equal(t, core.Rejected, last.Outcome())
						require.ErrorIs(t, last.Err(), core.ErrFull)
					}
				}
				return accepted, last
			}
			for range 2 { // when all have ended there is as much room as before
				accepted, last := try()
				require.Equal(t, tc.accepted, accepted)
				require.Equal(t, tc.running, m.Stats().Running)
				require.Equal(t, tc.queued, m.Stats().Queued)
				require.Len(t, m.Tasks(), tc.running+tc.queued)
				if last.Err() != nil {
					assert.Equal(t, core.ErrFull.Error()+tc.why, last.Err().Error())
				}
				require.NoError(t, m.Wait(t.Context()))
				requireBalanced(t, m.Stats())
			}
		})
	}
}

// As in the manager's queue, a cancelled task keeps its place until its chain has ended.
func TestCancelledWhileItWaitsForItsTurnCountsUntilItEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(lingering("cancelled"))
		option := core.WithKey(&core.Keyed{PerKey: 2}, "k")
		m.Go(t.Context(), "first", ignore(time.Minute), option)
		m.Go(t.Context(), "cancelled", succeed, option).Cancel()
		synctest.Wait()
		require.Equal(t, core.Stats{Created: 2, Running: 1, Queued: 1}, counts(m))
		require.ErrorIs(t, m.Go(t.Context(), "x", succeed, option).Err(), core.ErrFull)
		time.Sleep(2 * time.Minute)
		require.NoError(t, m.Go(t.Context(), "x", succeed, option).Wait(t.Context()))
		require.Equal(t, core.Stats{Created: 4, Queued: 1, Completed: 1 + 1, Rejected: 1}, counts(m))
		require.NoError(t, m.Wait(t.Context()))
		require.NoError(t, m.Go(t.Context(), "x", succeed, option).Wait(t.Context()))
	})
}

// If all earlier tasks of a key were cancelled, the next one has its turn at once. The cancelled ones
// still count.
func TestNextAfterTheCancelledIsCountedWithThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(2, 2), lingering("cancelled"))
		option := core.WithKey(&core.Keyed{PerKey: 3}, "k")
		m.Go(t.Context(), "first", ignore(time.Minute), option)
		m.Go(t.Context(), "cancelled", succeed, option).Cancel()
		time.Sleep(2 * time.Minute)
		second := m.Go(t.Context(), "x", ignore(time.Minute), option)
		m.Go(t.Context(), "cancelled", succeed, option).Cancel()
		time.Sleep(2 * time.Minute)
		require.Equal(t, core.Completed, second.Outcome())
		require.Equal(t, core.Stats{Created: 4, Queued: 2, Completed: 2}, counts(m), "no place in the queue is left")

		third := m.Go(t.Context(), "x", ignore(2*time.Hour), option)
		require.Equal(t, core.Pending, third.Outcome(), "it needs none")
		time.Sleep(57 * time.Minute) // the first of the cancelled has ended, the other has not
		require.Equal(t, core.Stats{Created: 5, Running: 1, Queued: 1, Completed: 2, Cancelled: 1}, counts(m))
		require.Equal(t, core.Pending, m.Go(t.Context(), "x", succeed, option).Outcome())
		require.Equal(t, `afterspan: task refused: no room: key "k" is limited to 3 unfinished tasks`,
			m.Go(t.Context(), "x", succeed, option).Err().Error())
		time.Sleep(time.Hour)
		require.Equal(t, core.Stats{Created: 7, Running: 1, Queued: 1, Completed: 2, Cancelled: 2, Rejected: 1}, counts(m))
		require.NoError(t, m.Wait(t.Context()))
	})
}

func TestBlockingGoWaitsForRoomOfItsKey(t *testing.T) {
	for name, tc := range map[string]struct {
		serial core.Keyed
		opts   []core.Option
	}{
		"a Keyed that blocks, per key":      {core.Keyed{PerKey: 2, Blocking: true}, nil},
		"a Keyed that blocks, in all":       {core.Keyed{Total: 2, Blocking: true}, nil},
		"a Keyed that blocks, of a manager": {core.Keyed{Blocking: true}, []core.Option{core.WithLimit(1, 1)}},
		"a manager that blocks":             {core.Keyed{PerKey: 2}, []core.Option{core.WithBlocking()}},
		"both":                              {core.Keyed{PerKey: 2, Blocking: true}, []core.Option{core.WithLimit(1, 1), core.WithBlocking()}},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(tc.opts...)
			begin, option := time.Now(), core.WithKey(&tc.serial, "k")
			for i := range 6 {
				task := m.Go(t.Context(), "x", ignore(time.Second), option)
				require.Equal(t, core.Pending, task.Outcome())
				require.Equal(t, time.Duration(max(0, i-1))*time.Second, time.Since(begin))
				require.True(t, time.Now().Equal(task.CreatedAt()), "it is as old as its acceptance")
			}
			over := m.Go(seconds(t, time.Millisecond), "x", succeed, option)
			require.ErrorIs(t, over.Err(), core.ErrFull)
			require.ErrorIs(t, over.Err(), context.DeadlineExceeded)
			require.NoError(t, m.Wait(t.Context()))
			require.Equal(t, core.Stats{Created: 7, Completed: 6, Rejected: 1}, counts(m))
		})
	}
}

// Tasks of one key are accepted in the order of the calls, also where calls had to wait for room.
func TestBlockedCallersOfAKeyAreServedInOrder(t *testing.T) {
	for name, opt := range map[string]core.Option{"no limit": nil, "a limit": core.WithLimit(2, 1)} {
		inBubble(t, name, func(t *testing.T) {
			m := newManager(opt)
			s := &core.Keyed{PerKey: 2, Blocking: true}
			got, want := map[string]*journal{"a": {}, "b": {}}, map[string][]string{}
			for i := range 20 {
				k, name, ctx := string("ab"[i%2]), fmt.Sprint(i), t.Context()
				if i > 6 && i%3 == 0 {
					ctx = cancelledIn(t, time.Millisecond) // some give up
				} else {
					want[k] = append(want[k], name)
				}
				go m.Go(ctx, name, noting(got[k], name), core.WithKey(s, k))
				synctest.Wait()
			}
			time.Sleep(time.Minute)
			require.Equal(t, want["a"], got["a"].all())
			require.Equal(t, want["b"], got["b"].all())
		})
	}
}

// A caller that waits for room of one key does not hold up callers with other keys, and gets its turn.
func TestBlockedCallersOfAKeyHoldUpNoOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(2, 0), core.WithBlocking())
		s := &core.Keyed{PerKey: 1}
		var order journal
		spawn := func(name string, opts ...core.TaskOption) {
			go m.Go(t.Context(), name, noting(&order, name), opts...)
			synctest.Wait()
		}
		m.Go(t.Context(), "x", ignore(10*time.Second), core.WithKey(s, "a"))
		m.Go(t.Context(), "x", ignore(time.Second))
		spawn("a", core.WithKey(s, "a")) // waits for its key
		spawn("b", core.WithKey(s, "b")) // these wait for a slot
		spawn("c")
		spawn("d", core.WithKey(s, "d"))
		require.Equal(t, core.Stats{Created: 2, Running: 2}, counts(m))
		time.Sleep(4500 * time.Millisecond)
		require.Equal(t, []string{"b", "c", "d"}, order.all())
		time.Sleep(time.Minute)
		require.Equal(t, []string{"b", "c", "d", "a"}, order.all())
	})
}

// The caller that has waited longest goes first. Room that it cannot use goes to the next that can.
func TestRoomThatComesFreeIsForTheFirstWhoCanTakeIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1), core.WithBlocking())
		s := &core.Keyed{PerKey: 1}
		m.Go(t.Context(), "x", ignore(time.Second), core.WithKey(s, "a"))
		m.Go(t.Context(), "x", ignore(time.Second), core.WithKey(s, "b"))
		for _, k := range []string{"b", "a", "c"} { // b has no room yet, a takes the place of b in the queue, c has none
			go m.Go(t.Context(), k, ignore(time.Second), core.WithKey(s, k))
			synctest.Wait()
		}
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, core.Stats{Created: 3, Running: 1, Queued: 1, Completed: 1}, counts(m))
		require.Equal(t, "a", m.Tasks()[1].Name)
		time.Sleep(time.Second)
		require.Equal(t, "b", m.Tasks()[1].Name)
		require.NoError(t, m.Wait(t.Context()))
		time.Sleep(time.Minute)
		require.Equal(t, core.Stats{Created: 5, Completed: 5}, counts(m))
	})
}

// One caller takes the place in the queue. The other takes a slot that was free, but that its Keyed
// had no room for.
func TestOneEndMayMakeRoomForTwo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(3, 1), core.WithBlocking(), lingering("cancelled"))
		full, other := &core.Keyed{Total: 2}, core.WithKey(&core.Keyed{}, "k")
		m.Go(t.Context(), "x", ignore(2*time.Hour), core.WithKey(full, "k"))
		m.Go(t.Context(), "cancelled", succeed, core.WithKey(full, "k")).Cancel()
		m.Go(t.Context(), "x", ignore(2*time.Hour), other)
		go m.Go(t.Context(), "queued", succeed, other)
		synctest.Wait()
		go m.Go(t.Context(), "running", ignore(2*time.Hour), core.WithKey(full, "l"))
		synctest.Wait()
		require.Equal(t, core.Stats{Created: 3, Running: 2, Queued: 1}, counts(m))
		time.Sleep(time.Hour + time.Second)
		require.Equal(t, core.Stats{Created: 5, Running: 3, Queued: 1, Cancelled: 1}, counts(m))
		require.NoError(t, m.Wait(t.Context()))
	})
}

func TestKeyedThatBlocksKeepsNobodyOutsideForEver(t *testing.T) {
	option := core.WithKey(&core.Keyed{PerKey: 1, Blocking: true}, "k")
	for name, stop := range map[string]func(*core.Manager){
		"Shutdown": func(m *core.Manager) { _, _ = m.Shutdown(context.Background()) },
		"Close":    func(m *core.Manager) { _ = m.Close() },
	} {
		inBubble(t, name+" wakes who waits", func(t *testing.T) {
			m := newManager()
			m.Go(t.Context(), "first", during(time.Second), option)
			for range 5 {
				go func() { assert.Equal(t, core.ErrClosed, m.Go(t.Context(), "x", succeed, option).Err()) }()
			}
			synctest.Wait()
			begin := time.Now()
			go stop(m)
			synctest.Wait()
			require.Equal(t, begin, time.Now())
			require.EqualValues(t, 5, m.Stats().Rejected)
			require.NoError(t, m.Wait(t.Context()))
		})
	}
	inBubble(t, "a ctx that is over does not wait", func(t *testing.T) {
		m := newManager()
		m.Go(over, "first", ignore(time.Second), option)
		second := m.Go(over, "x", succeed, option)
		require.ErrorIs(t, second.Err(), core.ErrFull)
		require.ErrorIs(t, second.Err(), context.Canceled)
		require.NoError(t, m.Wait(t.Context()))
	})
	inBubble(t, "a nested Go does not wait", func(t *testing.T) {
		m := newManager()
		m.Go(t.Context(), "outer", func(ctx context.Context) error {
			begin := time.Now()
			nested := m.Go(context.WithoutCancel(ctx), "nested", succeed, option)
			assert.ErrorIs(t, nested.Err(), core.ErrFull)
			assert.Equal(t, begin, time.Now())
			return nil
		}, option)
		require.NoError(t, m.Wait(t.Context()))
		require.EqualValues(t, 1, m.Stats().Rejected)
	})
}
