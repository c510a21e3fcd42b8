package main

import "github.com/creachadair/taskgroup"

// taskGroup is creachadair/taskgroup without a limit.
func taskGroup() engine {
	g := taskgroup.New(nil)
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
		close: func(int) error { return g.Wait() },
	}
}
