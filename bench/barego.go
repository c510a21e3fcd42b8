package main

import "context"

// bareGo is the floor: a go statement and a WaitGroup.
func bareGo() engine {
	return engine{starter: func(j job) starter {
		ctx, fn, wg := j.ctx, j.fn, j.wg
		return func(n int) {
			for range n {
				wg.Add(1)
				go func() { //nolint:modernize // it is the floor, as it is written everywhere
					defer wg.Done()
					_ = fn(ctx)
				}()
			}
		}
	}}
}

// bareGoTimed is a go statement with a timeout of the standard library.
func bareGoTimed() engine {
	return engine{starter: func(j job) starter {
		ctx, fn, wg := j.ctx, j.fn, j.wg
		return func(n int) {
			for range n {
				wg.Add(1)
				go func() { //nolint:modernize // it is the floor, as it is written everywhere
					defer wg.Done()
					ctx, cancel := context.WithTimeout(ctx, timeout)
					defer cancel()
					_ = fn(ctx)
				}()
			}
		}
	}}
}

// bareGoOwn is bareGo with a value of its own for each task.
func bareGoOwn() engine {
	return engine{starter: func(j job) starter {
		ctx, fn, wg := j.ctx, j.fn, j.wg
		return func(n int) {
			for i := range n {
				wg.Add(1)
				go func() { //nolint:modernize // it is the floor, as it is written everywhere
					defer wg.Done()
					_ = send(ctx, fn, i)
				}()
			}
		}
	}}
}

// send is fn for one receipt of many.
func send(ctx context.Context, fn work, receipt int) error {
	if receipt < 0 {
		panic("there is no such receipt")
	}
	return fn(ctx)
}
