package main

import "github.com/panjf2000/ants/v2"

// antsPool is a pool of ants. size -1 is no limit.
func antsPool(size int) func() engine {
	return func() engine {
		p, err := ants.NewPool(size)
		must(err)
		return engine{
			starter: func(j job) starter {
				fn, wg := j.thunk(), j.wg
				return func(n int) {
					for range n {
						wg.Add(1)
						must(p.Submit(fn))
					}
				}
			},
			close: func(int) error { p.Release(); return nil },
		}
	}
}
