package main

import "github.com/bytedance/gopkg/util/gopool"

// goPool is a pool of bytedance/gopkg. It has no way to end one: its workers end when there is nothing to do.
func goPool(size int32) func() engine {
	return func() engine {
		p := gopool.NewPool("bench", size, gopool.NewConfig())
		return engine{starter: func(j job) starter {
			fn, wg := j.thunk(), j.wg
			return func(n int) {
				for range n {
					wg.Add(1)
					p.Go(fn)
				}
			}
		}}
	}
}
