package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

// figures are what a sample costs per task.
type figures struct {
	cpu           float64 // ns, user and system time of the whole process
	bytes, allocs float64
}

// A group is what is measured together, and compared.
type group struct {
	name     string
	modes    []mode
	variants []variant
}

// patience is how long the watchdog waits for a sample.
const patience = 2 * time.Minute

// measure samples all variants of g in each of its modes, in rounds. A first round warms up, and is
// not counted.
func measure(g group, rounds, tasks int, into results) error {
	watchdog := time.AfterFunc(patience, func() { panic(g.name + ": a task was lost") })
	defer watchdog.Stop()
	for _, m := range g.modes {
		for round := range 1 + rounds {
			for _, i := range rand.Perm(len(g.variants)) {
				v := g.variants[i]
				watchdog.Reset(patience)
				f, err := v.sample(m, tasks)
				if err != nil {
					return fmt.Errorf("%s, %s, %s: %w", g.name, v.name, m.name, err)
				}
				if round > 0 {
					k := key{g.name, m.name, v.name}
					into[k] = append(into[k], f)
				}
			}
		}
	}
	return nil
}

// cost returns what f costs. It collects the garbage of others first.
func cost(f func()) figures {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := cpuTime()
	f()
	cpu := cpuTime() - began
	runtime.ReadMemStats(&after)
	return figures{
		cpu:    float64(cpu),
		bytes:  float64(after.TotalAlloc - before.TotalAlloc),
		allocs: float64(after.Mallocs - before.Mallocs),
	}
}

func (f figures) per(n int) figures {
	d := float64(n)
	return figures{cpu: f.cpu / d, bytes: f.bytes / d, allocs: f.allocs / d}
}

func heap() float64 {
	runtime.GC()
	runtime.GC() // empties what each sync.Pool has kept from the first
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return float64(s.HeapAlloc)
}
