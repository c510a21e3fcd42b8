package main

import (
	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/pool"
)

// concWaitGroup is conc's WaitGroup, which starts a goroutine for each task.
func concWaitGroup() engine {
	var g conc.WaitGroup
	return engine{
		starter: func(j job) starter {
			fn, wg := j.thunk(), j.wg
			return func(n int) {
				for range n {
					wg.Add(1)
					g.Go(fn)
				}
			}
		},
		wait: g.Wait,
	}
}

// concPool is conc's pool of 64 workers.
func concPool() engine {
	p := pool.New().WithMaxGoroutines(poolSize)
	return engine{
		starter: func(j job) starter {
			fn, wg := j.thunk(), j.wg
			return func(n int) {
				for range n {
					wg.Add(1)
					p.Go(fn)
				}
			}
		},
		close: func(int) error { p.Wait(); return nil },
	}
}
