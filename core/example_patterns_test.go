package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/afterspan/afterspan/core"
)

// Fan-out with results and the first error. Each task writes to its own element, and Wait makes
// the results safe to read. The first error cancels the other tasks: their contexts are done.
//
// Use [golang.org/x/sync/errgroup] instead where the caller waits and nobody needs a trace, a log line
// or a limit for each part. Inside a task both work: pass them the task's context, so that its timeout,
// its Cancel and a shutdown reach the parts.
//
// [golang.org/x/sync/errgroup]: https://pkg.go.dev/golang.org/x/sync/errgroup
func Example_fanOut() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	defer tasks.Close()
	search := func(ctx context.Context, source string) (hits int, err error) {
		if source == "archive" {
			return 0, errors.New("archive: no connection")
		}
		if source == "web" { // slow, and so cancelled
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return len(source), nil
	}

	group := tasks.Group(context.Background())
	sources := []string{"mail", "web", "archive"}
	results := make([]int, len(sources))
	parts := make([]*core.Task, len(sources))
	for i, source := range sources {
		parts[i] = group.Go("search", func(ctx context.Context) (err error) {
			results[i], err = search(ctx, source)
			return err
		}, core.WithAttrs(slog.String("source", source)))
		if source == "mail" {
			_ = parts[i].Wait(context.Background()) // for the sake of the output
		}
	}
	fmt.Println(group.Wait())
	for i, part := range parts {
		fmt.Println(sources[i], part.Outcome(), results[i])
	}
	// Output:
	// archive: no connection
	// mail completed 4
	// web cancelled 0
	// archive failed 0
}

// A loop that runs as long as the process. UntilShutdown cancels it when a shutdown begins, so it does
// not use up the time that other tasks need to finish, and it does not count as lost.
func Example_ticker() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	refreshed := make(chan struct{})
	tasks.Go(context.Background(), "refresh_prices", func(ctx context.Context) error {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
				refreshed <- struct{}{} // the work; an error of one round is logged here, not returned
			}
		}
	}, core.UntilShutdown())
	<-refreshed
	<-refreshed

	go func() { // lets a round that is under way finish
		for range refreshed {
		}
	}()
	stats, err := tasks.Shutdown(context.Background())
	close(refreshed)
	fmt.Println(stats.Status, err)
	// Output: completed <nil>
}

// Work that is due later. The task waits for its context as well, so a shutdown ends the wait, and it
// is a task from the start: it is counted, it can be cancelled, and a shutdown names it. A time.AfterFunc
// or a sleeping goroutine would be gone without a word.
//
// The work is still lost then. Work that must survive a deploy belongs in a queue on a database: see package
// riverq.
func Example_delayed() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	remind := func(delay time.Duration) core.Func {
		return func(ctx context.Context) error {
			select {
			case <-time.After(delay):
				fmt.Println("your cart is waiting")
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	soon := tasks.Go(context.Background(), "remind", remind(time.Millisecond))
	_ = soon.Wait(context.Background())
	tasks.Go(context.Background(), "remind", remind(24*time.Hour), core.WithAttrs(slog.Int("cart_id", 7)))

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := tasks.Shutdown(ctx)
	if lost, ok := errors.AsType[*core.ShutdownError](err); ok {
		for _, task := range append(lost.Cancelled, lost.Remaining...) {
			fmt.Println("lost:", task.Name, task.Attrs)
		}
	}
	// Output:
	// your cart is waiting
	// lost: remind [cart_id=7]
}

// Several managers share the time of one shutdown: they are shut down at the same time. If the tasks of
// one start tasks in another, shut down first the one that starts them.
func Example_severalManagers() {
	quiet := core.WithLogger(slog.New(slog.DiscardHandler))
	mail := core.New(quiet, core.WithLimit(4, 100))
	exports := core.New(quiet, core.WithLimit(1, 10))
	mail.Go(context.Background(), "send_receipt", func(context.Context) error { return nil })
	exports.Go(context.Background(), "export", func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	managers := []*core.Manager{mail, exports}
	errs := make([]error, len(managers))
	var all sync.WaitGroup
	for i, m := range managers {
		all.Go(func() { _, errs[i] = m.Shutdown(ctx) })
	}
	all.Wait()
	if lost, ok := errors.AsType[*core.ShutdownError](errors.Join(errs...)); ok {
		for _, task := range append(lost.Cancelled, lost.Remaining...) {
			fmt.Println("lost:", task.Name)
		}
	}
	// Output: lost: export
}
