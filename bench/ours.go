package main

import (
	"context"
	"fmt"

	"github.com/afterspan/afterspan/core"
)

// engineOn returns the engine that starts tasks of m with starterOf.
func engineOn(m *core.Manager, starterOf func(j job) starter) engine {
	return engine{
		starter: starterOf,
		wait:    func() { _ = m.Wait(context.Background()) },
		close: func(tasks int) error {
			if err := m.Close(); err != nil {
				return err
			}
			n := uint64(tasks)
			if got, want := m.Stats(), (core.Stats{Created: n, Completed: n}); got != want {
				return fmt.Errorf("afterspan: %+v, want %+v", got, want)
			}
			return nil
		},
	}
}

// ours is a manager with nothing asked for.
func ours(opts ...core.Option) func() engine {
	return func() engine {
		m := core.New(opts...)
		return engineOn(m, func(j job) starter {
			ctx, fn, wg := j.ctx, j.marked(), j.wg
			return func(n int) {
				for range n {
					wg.Add(1)
					m.Go(ctx, taskName, fn)
				}
			}
		})
	}
}

// oursTimed is a manager whose tasks have a timeout.
func oursTimed() engine {
	m := core.New()
	return engineOn(m, func(j job) starter {
		ctx, fn, wg := j.ctx, j.marked(), j.wg
		return func(n int) {
			for range n {
				wg.Add(1)
				m.Go(ctx, taskName, fn, core.WithTimeout(timeout))
			}
		}
	})
}

// oursOwn is a manager with a value of its own for each task.
func oursOwn() engine {
	m := core.New()
	return engineOn(m, func(j job) starter {
		ctx, fn, wg := j.ctx, j.fn, j.wg
		return func(n int) {
			for i := range n {
				wg.Add(1)
				m.Go(ctx, taskName, func(ctx context.Context) error {
					defer wg.Done()
					return send(ctx, fn, i)
				})
			}
		}
	})
}
