package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/afterspan/afterspan/core"
)

// announce returns a middleware that says when it is called.
func announce(name string) core.Middleware {
	return core.Middleware{
		Spawn: func(ctx context.Context, _ *core.Task) context.Context {
			fmt.Println(name, "Spawn")
			return ctx
		},
		Wrap: func(next core.Handler) core.Handler {
			return func(ctx context.Context, t *core.Task) error {
				fmt.Println(name, "before")
				defer fmt.Println(name, "after")
				return next(ctx, t)
			}
		},
		Ended: func(_ context.Context, t *core.Task) { fmt.Println(name, "Ended:", t.Outcome()) },
	}
}

// The first middleware is the outermost. Spawn is called before Go returns; the Handler and Ended are
// called on the goroutine of the task.
func ExampleWithMiddleware() {
	tasks := core.New(core.WithMiddleware(announce("first"), announce("second")))
	tasks.Go(context.Background(), "send_receipt", func(context.Context) error {
		fmt.Println("task")
		return nil
	})
	_ = tasks.Wait(context.Background())
	// Output:
	// first Spawn
	// second Spawn
	// first before
	// second before
	// task
	// second after
	// first after
	// first Ended: completed
	// second Ended: completed
}

type tenantKey struct{}

// What Spawn returns is the context of the run. Here it keeps which tenant the request was from.
func ExampleMiddleware() {
	tenants := core.Middleware{
		Spawn: func(ctx context.Context, _ *core.Task) context.Context {
			return context.WithValue(ctx, tenantKey{}, "acme")
		},
		Wrap: func(next core.Handler) core.Handler {
			return func(ctx context.Context, t *core.Task) error {
				fmt.Println(t.Name(), "for", ctx.Value(tenantKey{}))
				return next(ctx, t)
			}
		},
	}
	tasks := core.New(core.WithMiddleware(tenants))
	tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return nil })
	_ = tasks.Wait(context.Background())
	// Output: send_receipt for acme
}

// A retry. It backs off, unless the task is cancelled or out of time.
func ExampleMiddlewareFunc() {
	retry := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			for attempt := 1; ; attempt++ {
				err := next(ctx, t)
				if err == nil || attempt == 3 {
					return err
				}
				fmt.Println("attempt", attempt, "failed:", err)
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	})
	tasks := core.New(core.WithMiddleware(retry))
	calls := 0
	task := tasks.Go(context.Background(), "publish_event", func(context.Context) error {
		if calls++; calls < 3 {
			return errors.New("broker not there")
		}
		return nil
	})
	fmt.Println(task.Wait(context.Background()), task.Outcome())
	// Output:
	// attempt 1 failed: broker not there
	// attempt 2 failed: broker not there
	// <nil> completed
}

// One runs at a time, one more may wait, and a third is refused.
func ExampleWithLimit() {
	tasks := core.New(core.WithLimit(1, 1), core.WithLogger(slog.New(slog.DiscardHandler)))
	release := make(chan struct{})
	for range 3 {
		task := tasks.Go(context.Background(), "resize_image", func(context.Context) error { <-release; return nil })
		fmt.Println(task.Outcome(), task.Err())
	}
	stats := tasks.Stats()
	fmt.Println(stats.Running, "running,", stats.Queued, "queued,", stats.Rejected, "rejected")
	close(release)
	_ = tasks.Wait(context.Background())
	// Output:
	// pending <nil>
	// pending <nil>
	// rejected afterspan: task refused: no room
	// 1 running, 1 queued, 1 rejected
}

// A batch job wants to be slowed down rather than refused: Go waits for room, until its ctx is done.
func ExampleWithBlocking() {
	tasks := core.New(core.WithLimit(2, 0), core.WithBlocking(), core.WithLogger(slog.New(slog.DiscardHandler)))
	for range 10 {
		tasks.Go(context.Background(), "resize_image", func(context.Context) error { return nil })
	}
	_ = tasks.Wait(context.Background())
	fmt.Println(tasks.Stats().Completed, "completed")

	for range 2 {
		tasks.Go(context.Background(), "stuck", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := tasks.Go(ctx, "resize_image", func(context.Context) error { return nil }).Err()
	fmt.Println(errors.Is(err, core.ErrFull), errors.Is(err, context.DeadlineExceeded))
	_ = tasks.Close()
	// Output:
	// 10 completed
	// true true
}

// Kubernetes gives a pod 30 s. This leaves time for what has to be shut down after the tasks.
func ExampleWithShutdownTimeout() {
	tasks := core.New(core.WithShutdownTimeout(20*time.Second), core.WithCancelGrace(2*time.Second))
	tasks.Go(context.Background(), "warm_cache", func(context.Context) error { return nil })
	stats, err := tasks.Shutdown(context.Background()) // cancels after 18 s, returns after 20 s at the latest
	fmt.Println(stats.Status, err)
	// Output: completed <nil>
}
