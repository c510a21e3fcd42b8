package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/afterspan/afterspan/core"
)

// An HTTP handler answers at once, and the receipt goes out after it. The request's context is over
// by then; its values are still there.
func Example() {
	tasks := core.New()
	answered := make(chan struct{})

	handler := func(w http.ResponseWriter, r *http.Request) {
		tasks.Go(r.Context(), "send_receipt", func(ctx context.Context) error {
			<-answered
			fmt.Println("request:", r.Context().Err())
			fmt.Println("task:", ctx.Err())
			return nil
		}, core.WithTimeout(10*time.Second), core.WithAttrs(slog.String("thread_id", "t-42")))
		w.WriteHeader(http.StatusAccepted)
	}

	ctx, cancel := context.WithCancel(context.Background())
	handler(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/checkout", nil))
	cancel() // as the server does when the handler has returned
	close(answered)

	stats, err := tasks.Shutdown(context.Background())
	fmt.Println(stats.Status, tasks.Stats().Completed, err)
	// Output:
	// request: context canceled
	// task: <nil>
	// completed 1 <nil>
}

// The handle may be ignored: an error is logged. Or it tells how the task ended.
func ExampleManager_Go() {
	tasks := core.New()
	defer tasks.Close()

	task := tasks.Go(context.Background(), "publish_event", func(ctx context.Context) error {
		return publish(ctx, "run.finished")
	})
	<-task.Done()
	fmt.Println(task, task.Outcome())
	// Output:
	// published run.finished
	// publish_event#1 completed
}

func publish(_ context.Context, event string) error {
	fmt.Println("published", event)
	return nil
}

// A task may start others with its own context, also while the manager shuts down.
func ExampleManager_Go_nested() {
	tasks := core.New()
	tasks.Go(context.Background(), "charge", func(ctx context.Context) error {
		tasks.Go(ctx, "send_receipt", func(context.Context) error {
			fmt.Println("receipt sent")
			return nil
		})
		return nil
	})
	_, _ = tasks.Shutdown(context.Background())
	stats := tasks.Stats()
	fmt.Println(stats.Completed, "completed,", stats.Running, "left")
	// Output:
	// receipt sent
	// 2 completed, 0 left
}

// A task that comes too late is refused. That needs no "if err": the handle is as any other.
func ExampleManager_Go_refused() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	_ = tasks.Close()

	task := tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return nil })
	fmt.Println(task.Outcome())
	fmt.Println(task.Err())
	// Output:
	// rejected
	// afterspan: task refused: manager closed
}

// A server shuts down first, so that no new work comes in; then the manager; then the tracer provider.
func ExampleManager_Shutdown() {
	tasks := core.New()
	tasks.Go(context.Background(), "warm_cache", func(context.Context) error { return nil })

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stats, err := tasks.Shutdown(ctx)
	fmt.Println(stats.Status, err)

	stats, err = tasks.Shutdown(ctx)
	fmt.Println(stats.Status, err)
	// Output:
	// completed <nil>
	// already_shutdown <nil>
}

// Close does not wait for tasks to finish: it cancels them, and waits for that.
func ExampleManager_Close() {
	tasks := core.New()
	task := tasks.Go(context.Background(), "poll", func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	fmt.Println(tasks.Close())
	fmt.Println(task.Outcome(), task.Err())
	// Output:
	// <nil>
	// cancelled afterspan: manager shut down: context canceled
}

// A test waits for what the code under test has started.
func ExampleManager_Wait() {
	tasks := core.New()
	sent := make(chan string, 2)
	for _, to := range []string{"ada", "grace"} {
		tasks.Go(context.Background(), "notify", func(context.Context) error {
			sent <- to
			return nil
		})
	}
	fmt.Println(tasks.Wait(context.Background()))
	fmt.Println(len(sent), "notified")
	// Output:
	// <nil>
	// 2 notified
}

// CancelAll stops what there is now. The manager goes on.
func ExampleManager_CancelAll() {
	tasks := core.New()
	defer tasks.Close()
	for range 3 {
		tasks.Go(context.Background(), "reindex", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
	}
	tasks.CancelAll()
	_ = tasks.Wait(context.Background())
	fmt.Println(tasks.Stats().Cancelled, "cancelled")
	// Output: 3 cancelled
}

// Tasks is what a page of what is running shows.
func ExampleManager_Tasks() {
	tasks := core.New(core.WithLimit(1, 5))
	defer tasks.Close()
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	tasks.Go(context.Background(), "warm_cache", wait, core.WithAttrs(slog.String("region", "eu")))
	tasks.Go(context.Background(), "send_receipt", wait, core.WithTimeout(time.Minute))

	for _, task := range tasks.Tasks() {
		fmt.Println(task.ID, task.Name, task.State, task.Timeout, task.Attrs)
	}
	// Output:
	// 1 warm_cache running 0s [region=eu]
	// 2 send_receipt queued 1m0s []
}

func ExampleManager_Stats() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return nil })
	tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return fmt.Errorf("mailbox full") })
	_ = tasks.Wait(context.Background())

	stats := tasks.Stats()
	fmt.Println("created:", stats.Created)
	fmt.Println("completed:", stats.Completed)
	fmt.Println("failed:", stats.Failed)
	fmt.Println("running:", stats.Running)
	// Output:
	// created: 2
	// completed: 1
	// failed: 1
	// running: 0
}

// A server puts its manager into the context of each request, where constructors would be in the way.
func ExampleNewContext() {
	tasks := core.New()
	ctx := core.NewContext(context.Background(), tasks)

	node := func(ctx context.Context) { // deep in the graph
		if tasks, ok := core.FromContext(ctx); ok {
			tasks.Go(ctx, "publish_event", func(ctx context.Context) error { return publish(ctx, "node.finished") })
		}
	}
	node(ctx)
	_ = tasks.Wait(ctx)
	// Output: published node.finished
}

// TaskFromContext tells code inside a task which one it is, to log its id, say.
func ExampleTaskFromContext() {
	tasks := core.New()
	tasks.Go(context.Background(), "send_receipt", func(ctx context.Context) error {
		if task, ok := core.TaskFromContext(ctx); ok {
			fmt.Println(task.Name(), task.ID())
		}
		return nil
	})
	_ = tasks.Wait(context.Background())
	_, ok := core.TaskFromContext(context.Background())
	fmt.Println(ok)
	// Output:
	// send_receipt 1
	// false
}

// What goes wrong is logged, with the task's attributes where the service's other lines have them.
func ExampleWithLogger() {
	stable := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: stable}))

	tasks := core.New(core.WithLogger(logger))
	tasks.Go(context.Background(), "send_receipt",
		func(context.Context) error { return fmt.Errorf("mailbox full") },
		core.WithAttrs(slog.String("thread_id", "t-42")))
	_ = tasks.Wait(context.Background())
	// Output:
	// level=ERROR msg="background task failed" task.name=send_receipt task.id=1 task.outcome=failed thread_id=t-42 error="mailbox full"
}
