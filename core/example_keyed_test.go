package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/afterspan/afterspan/core"
)

// The messages of one conversation are stored in the order in which they were sent, and those of another meanwhile.
func ExampleWithKey() {
	tasks := core.New()
	var threads core.Keyed
	store := func(message string, after <-chan struct{}) core.Func {
		return func(context.Context) error {
			<-after
			fmt.Println(message)
			return nil
		}
	}
	now, later := make(chan struct{}), make(chan struct{})
	close(now)
	tasks.Go(context.Background(), "store_message", store("thread-1: Where is my order?", later), core.WithKey(&threads, "thread-1"))
	tasks.Go(context.Background(), "store_message", store("thread-1: It is on its way.", now), core.WithKey(&threads, "thread-1"))
	other := tasks.Go(context.Background(), "store_message", store("thread-2: Hello!", now), core.WithKey(&threads, "thread-2"))

	_ = other.Wait(context.Background())
	stats := tasks.Stats()
	fmt.Println(stats.Running, "running,", stats.Queued, "queued")
	close(later)
	_ = tasks.Wait(context.Background())
	// Output:
	// thread-2: Hello!
	// 1 running, 1 queued
	// thread-1: Where is my order?
	// thread-1: It is on its way.
}

// One conversation may have two tasks that run or wait, and all together a hundred. The next is refused.
func ExampleKeyed() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	threads := &core.Keyed{PerKey: 2, Total: 100}
	release := make(chan struct{})
	for _, thread := range []string{"thread-1", "thread-1", "thread-1", "thread-2"} {
		task := tasks.Go(context.Background(), "summarize", func(context.Context) error { <-release; return nil },
			core.WithKey(threads, thread))
		fmt.Println(thread, task.Outcome(), errors.Is(task.Err(), core.ErrFull))
	}
	close(release)
	_ = tasks.Wait(context.Background())
	// Output:
	// thread-1 pending false
	// thread-1 pending false
	// thread-1 rejected true
	// thread-2 pending false
}
