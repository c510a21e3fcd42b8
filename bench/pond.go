package main

import (
	"fmt"

	"github.com/alitto/pond/v2"
)

// pondPool is a pool of pond, and its Go, which makes no future. size 0 is no limit.
func pondPool(size int) func() engine {
	return func() engine {
		p := pond.NewPool(size)
		return engine{
			starter: func(j job) starter {
				fn, wg := j.thunk(), j.wg
				return func(n int) {
					for range n {
						wg.Add(1)
						must(p.Go(fn))
					}
				}
			},
			close: func(tasks int) error {
				p.StopAndWait()
				if got := p.SuccessfulTasks(); got != uint64(tasks) {
					return fmt.Errorf("pond: %d tasks ran, want %d", got, tasks)
				}
				return nil
			},
		}
	}
}

// must is for errors of tasks that are refused: then there is nothing to measure.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
