package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

// figures are what one sample of a variant costs, per task.
type figures struct {
	cpu, wall     float64 // ns; cpu is user and system time of the whole process
	bytes, allocs float64
	stack         float64 // bytes, of a task in flight
}

// A settings is what can be set for a run of the benchmark.
type settings struct {
	rounds int
	sample time.Duration // how much CPU time a sample is meant to take
}

// measure runs all variants of g, in each of its modes, in settings.rounds rounds.
func measure(g group, s settings, into results) error {
	for _, m := range g.modes {
		sizes := make([]int, len(g.variants))
		for i, v := range g.variants {
			n, err := prepare(m, v, g.job(v), s.sample)
			if err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
			sizes[i] = n
		}
		for range s.rounds {
			samples := make([]figures, len(g.variants))
			for _, i := range rand.Perm(len(g.variants)) {
				f, err := sample(m, g.variants[i], g.job(g.variants[i]), sizes[i])
				if err != nil {
					return fmt.Errorf("%s: %w", g.name, err)
				}
				samples[i] = f
			}
			for i, v := range g.variants {
				into.add(key{g.name, m.name, v.name}, samples[i])
			}
		}
	}
	return nil
}

// prepare checks that a variant runs its tasks, and returns how many of them make up a sample.
func prepare(m mode, v variant, j job, want time.Duration) (int, error) {
	defer watchdog(v.name).Stop()
	if err := check(m, v, j, 4*batchSize); err != nil {
		return 0, err
	}
	r := newRun(m, v, j)
	n := 4 * batchSize
	for {
		began := cpuTime()
		r.submit(n)
		if took := cpuTime() - began; took > want/8 {
			return max(1, int(float64(n)*float64(want)/float64(took))), r.close()
		}
		n *= 2
	}
}

// sample runs n tasks of a variant, on an engine of its own that has run some before.
func sample(m mode, v variant, j job, n int) (figures, error) {
	defer watchdog(v.name).Stop()
	r := newRun(m, v, j)
	r.submit(4 * batchSize)
	f := timeIt(func() { r.submit(n) }).per(n)
	return f, r.close()
}

// timeIt returns what f costs altogether, with the garbage of others collected before.
func timeIt(f func()) figures {
	runtime.GC()
	return cost(f)
}

// cost returns what f costs altogether.
func cost(f func()) figures {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := cpuTime(), time.Now()
	f()
	cpu, wall := cpuTime()-cpu, time.Since(began)
	runtime.ReadMemStats(&after)
	return figures{
		cpu:    float64(cpu),
		wall:   float64(wall),
		bytes:  float64(after.TotalAlloc - before.TotalAlloc),
		allocs: float64(after.Mallocs - before.Mallocs),
	}
}

func (f figures) per(n int) figures {
	d := float64(n)
	return figures{cpu: f.cpu / d, wall: f.wall / d, bytes: f.bytes / d, allocs: f.allocs / d}
}

// watchdog ends the program if it is not stopped: a task was lost, and somebody waits for it.
func watchdog(name string) *time.Timer {
	return time.AfterFunc(2*time.Minute, func() { panic(name + ": a task was lost, or takes for ever") })
}
