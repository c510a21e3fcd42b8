package main

import (
	"context"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
)

// The groups of what is measured with tasks in flight.
const (
	groupParked  = "parked"            // tasks that wait for a channel
	groupWaiting = "waiting"           // tasks that wait for the end of their context
	groupList    = "list"              // their list, per task
	groupDrain   = "cancel"            // their cancel and drain, per task
	groupCrowded = "crowded"           // a short task while others are in flight
	inFlight     = " in flight"        // after a number, as a mode
	manyInFlight = 1_000_000           // the most
	someInFlight = manyInFlight / 1000 // what the most is compared with
)

// roundsOfMany is in how many rounds the most tasks in flight are measured.
const roundsOfMany = 3

// A fleet is some crowds, all of the same size.
type fleet struct{ crowds, each int }

// fleets have 1, 1,000 and many tasks in flight, and so many crowds that there is something to measure.
func fleets(many int) []fleet {
	return []fleet{{2000, 1}, {20, someInFlight}, {1, many}}
}

func (f fleet) tasks() int   { return f.crowds * f.each }
func (f fleet) mode() string { return thousands(f.each) + inFlight }

// thousands writes n with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// measureInFlight measures what tasks in flight take, and cost.
func measureInFlight(many int, s settings, into results) {
	for _, f := range fleets(many) {
		progress("%s", f.mode())
		warmUp(f.tasks())
		rounds, parkedRounds := s.rounds, s.rounds
		if f.crowds == 1 { // a million takes its time, and always the same memory
			rounds, parkedRounds = min(rounds, roundsOfMany), 1
		}
		for round := range rounds {
			kinds := crowdKinds()
			for _, i := range rand.Perm(len(kinds)) {
				if round < parkedRounds {
					measureParked(f, kinds[i], into)
				}
				measureWaiting(f, kinds[i], into)
			}
		}
	}
	progress("a task among them")
	measureCrowded(many, crowdKind{nameOurs, ourCrowd}, s, into)
}

// warmUp has the runtime make n goroutines. It keeps them when they have ended, and they would count as the first crowd's.
func warmUp(n int) { park(bareCrowd, fleet{1, n}, false).leave() }

// measureParked measures the memory of tasks that have nothing to do with their context.
func measureParked(f fleet, k crowdKind, into results) {
	defer watchdog(k.name).Stop()
	p := park(k.open, f, false)
	into.add(key{groupParked, f.mode(), k.name}, figures{bytes: p.heap, stack: p.stack})
	p.leave()
}

// measureWaiting measures tasks that wait for the end of their context: their memory, their list and their end.
func measureWaiting(f fleet, k crowdKind, into results) {
	defer watchdog(k.name).Stop()
	p := park(k.open, f, true)
	into.add(key{groupWaiting, f.mode(), k.name}, figures{bytes: p.heap, stack: p.stack})
	if p.crowds[0].list != nil {
		into.add(key{groupList, f.mode(), k.name}, cost(p.list).per(f.tasks()))
	}
	into.add(key{groupDrain, f.mode(), k.name}, cost(p.cancel).per(f.tasks()))
}

// measureCrowded measures a short task while some, and while many, are in flight, in turn.
func measureCrowded(many int, k crowdKind, s settings, into results) {
	defer watchdog(k.name).Stop()
	crowds := []fleet{{1, someInFlight}, {1, many}}
	var all []*parked
	for _, f := range crowds {
		all = append(all, park(k.open, f, false))
	}
	short := func(n int, c crowd) {
		var wg sync.WaitGroup
		fn := job{fn: empty, wg: &wg}.marked()
		for left := n; left > 0; left -= batchSize {
			for range min(left, batchSize) {
				wg.Add(1)
				c.start(fn)
			}
			wg.Wait()
		}
	}
	n := max(batchSize, int(s.sample/600)) // about 600 ns each
	for range s.rounds {
		for _, i := range rand.Perm(len(crowds)) {
			c := all[i].crowds[0]
			short(4*batchSize, c)
			into.add(key{groupCrowded, crowds[i].mode(), k.name}, cost(func() { short(n, c) }).per(n))
		}
	}
	for _, p := range all {
		p.leave()
	}
}

// parked is a fleet that is in flight.
type parked struct {
	fleet
	crowds  []crowd
	release chan struct{}
	heap    float64 // bytes for a task, without its stack
	stack   float64
}

// park starts the tasks. They wait for a channel, or until they are cancelled. What they take is measured once all
// have started.
func park(open func() crowd, f fleet, untilCancelled bool) *parked {
	p := &parked{fleet: f, crowds: make([]crowd, f.crowds), release: make(chan struct{})}
	var started sync.WaitGroup
	started.Add(f.tasks())
	wait := func(context.Context) error { started.Done(); <-p.release; return nil }
	if untilCancelled {
		wait = func(ctx context.Context) error { started.Done(); <-ctx.Done(); return ctx.Err() }
	}
	heap, stack := memory()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would go through a crowd that grows, again and again
	for i := range p.crowds {
		p.crowds[i] = open()
		for range f.each {
			p.crowds[i].start(wait)
		}
	}
	started.Wait()
	heapNow, stackNow := memory()
	n := float64(f.tasks())
	p.heap, p.stack = (heapNow-heap)/n, (stackNow-stack)/n
	return p
}

// memory returns what is in use on the heap and for stacks.
func memory() (heap, stack float64) {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc), float64(s.StackInuse)
}

// list lists all tasks.
func (p *parked) list() {
	for _, c := range p.crowds {
		if got := c.list(); got != p.each {
			panic("a list has " + thousands(got) + " tasks, want " + thousands(p.each))
		}
	}
}

// cancel cancels all tasks and waits for them.
func (p *parked) cancel() {
	for _, c := range p.crowds {
		c.cancel()
	}
}

// leave lets all tasks end and waits for them.
func (p *parked) leave() {
	close(p.release)
	for _, c := range p.crowds {
		c.wait()
	}
}
