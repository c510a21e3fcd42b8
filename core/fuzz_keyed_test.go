package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Random programs use two Keyeds with two keys each. The names of the keys are the same in both.

// A seat is one key of one Keyed. Seat 0 stands for "no key".
type seat struct {
	inside int    // Funcs that are running
	last   uint64 // the ID of the last one that has begun
}

const seats = 5

// slowSpawn is the name of tasks with a Spawn that takes its time.
const slowSpawn = "7"

// seatOf reads the key of a task from the bits of its byte that its manner does not use. Every other
// task has the same key.
func seatOf(manner byte) int { return [16]int{4: 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4}[manner/16] }

func serialOf(seat int) int { return (seat - 1) / 2 }

func boundedBy(a, b byte) *core.Keyed {
	return &core.Keyed{PerKey: int(a / 16 % 4), Total: int(b / 16 % 7), Blocking: b >= 128}
}

// serial returns the task option of the plan; nil if the plan has no key.
func (x *machine) serial(p *plan) core.TaskOption {
	if p.seat == 0 {
		return nil
	}
	return core.WithKey(x.serials[serialOf(p.seat)], string("ab"[p.seat%2]))
}

func (x *machine) setOutside(p *plan, outside bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if delete(x.outside, p); outside {
		x.outside[p] = true
	}
}

// enter is called when a Func begins and when it ends. A retry may call it again.
func (s *seat) enter(t *testing.T, p *plan, id uint64, n int) {
	s.inside += n
	if p.seat == 0 || n < 0 {
		return
	}
	assert.Equal(t, 1, s.inside, "tasks at once with key %d", p.seat)
	assert.GreaterOrEqual(t, id, s.last, "key %d out of order", p.seat)
	s.last = id
}

// liveTask is one that has been accepted and has not ended.
type liveTask struct {
	*record
	state string
}

// isAheadIn reports whether l makes later tasks of that key wait: it is queued or running, and was not
// cancelled in the queue. While its Spawns still run it counts as ahead.
func (l liveTask) isAheadIn(seat int) bool {
	return l.plan.seat == seat && (l.state == "queued" || l.state == "running" || l.calls > 0 || l.runs == 0)
}

// live returns what has not ended, in the order of acceptance.
func (x *machine) live(infos []core.TaskInfo) (live []liveTask) {
	byID := map[uint64]*record{}
	for task, r := range x.records {
		byID[task.ID()] = r
	}
	for _, info := range infos {
		require.NotNil(x.t, byID[info.ID], "%+v", info)
		live = append(live, liveTask{byID[info.ID], info.State})
	}
	return live
}

// checkWaiting checks that every task that waits has something to wait for.
func (x *machine) checkWaiting(stats core.Stats, live []liveTask) {
	allSlots := x.maxRunning > 0 && stats.Running == x.maxRunning
	for i, l := range live {
		behind := slices.ContainsFunc(live[:i], func(ahead liveTask) bool {
			return l.plan.seat > 0 && ahead.isAheadIn(l.plan.seat)
		})
		require.True(x.t, l.state != "queued" || behind || allSlots, "waits for nothing: %+v in %+v", l, stats)
	}
	for i, s := range x.serials {
		all, of := x.count(live, i)
		require.True(x.t, s.Total <= 0 || all <= s.Total, "%d in %+v", all, s)
		require.True(x.t, s.PerKey <= 0 || slices.Max(of[:]) <= s.PerKey, "%v in %+v", of, s)
	}
	for p := range x.outside {
		require.True(x.t, x.isFull(p, stats, live), "there is room for %+v in %+v", p, stats)
	}
}

// count returns how many of the tasks belong to the Keyed, and how many to each of its keys.
func (x *machine) count(live []liveTask, serial int) (all int, of [seats]int) {
	for _, l := range live {
		if l.plan.seat > 0 && serialOf(l.plan.seat) == serial {
			all++
			of[l.plan.seat]++
		}
	}
	return all, of
}

func (x *machine) isFull(p *plan, stats core.Stats, live []liveTask) bool {
	mustWait := x.maxRunning > 0 && stats.Running == x.maxRunning
	mayWait := x.maxRunning <= 0 || x.queued < 0 || stats.Queued < x.queued
	if p.seat == 0 {
		return mustWait && !mayWait
	}
	s := x.serials[serialOf(p.seat)]
	all, of := x.count(live, serialOf(p.seat))
	if s.Total > 0 && all >= s.Total || s.PerKey > 0 && of[p.seat] >= s.PerKey {
		return true
	}
	behind := slices.ContainsFunc(live, func(ahead liveTask) bool { return ahead.isAheadIn(p.seat) })
	return (mustWait || behind) && !mayWait
}

// checkOrder checks that the tasks of each key, and those without one, started in the order in which
// they were accepted. It gets the handles in the order of acceptance.
func (x *machine) checkOrder() {
	var asked [seats]int
	var started [seats]time.Time
	for _, task := range x.handles {
		r := x.records[task]
		if r == nil { // refused
			continue
		}
		at := r.plan.seat
		if r.plan.asked > 0 {
			require.Greater(x.t, r.plan.asked, asked[at], "%v was accepted out of order", task)
			asked[at] = r.plan.asked
		}
		// Of the tasks without a key, only one with a slow Spawn may be overtaken.
		if r.calls == 0 || at == 0 && task.Name() == slowSpawn {
			continue
		}
		require.False(x.t, task.StartedAt().Before(started[at]), "%v started out of order", task)
		started[at] = task.StartedAt()
	}
	for at, s := range x.seats {
		require.Zero(x.t, s.inside, fmt.Sprint("key ", at))
	}
}
