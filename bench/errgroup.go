package main

import "golang.org/x/sync/errgroup"

// errGroup is x/sync/errgroup without a limit.
func errGroup() engine {
	var g errgroup.Group
	return engine{
		starter: func(j job) starter {
			fn, wg := j.thunkErr(), j.wg
			return func(n int) {
				for range n {
					wg.Add(1)
					g.Go(fn)
				}
			}
		},
		wait: func() { _ = g.Wait() },
	}
}
