package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/afterspan/afterspan/core"
)

// The timeout is the task's own: it has nothing to do with the deadline of the request.
func ExampleWithTimeout() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	task := tasks.Go(context.Background(), "call_webhook", func(ctx context.Context) error {
		<-ctx.Done() // nobody answers
		return ctx.Err()
	}, core.WithTimeout(time.Millisecond))

	fmt.Println(task.Wait(context.Background()))
	fmt.Println(task.Outcome())
	// Output:
	// context deadline exceeded
	// timed_out
}

// Attributes are in the logs, in the spans, and on the page of what is running.
func ExampleWithAttrs() {
	task := core.NewTask("publish_event", core.WithAttrs(
		slog.String("thread_id", "t-42"),
		slog.Group("event", slog.String("kind", "run.finished"))))
	for _, a := range task.Attrs() {
		fmt.Println(a)
	}
	// Output:
	// thread_id=t-42
	// event=[kind=run.finished]
}

// Defaults come first, so that a task's own options win, and its attributes are added to them.
func ExampleWithTaskDefaults() {
	tasks := core.New(core.WithTaskDefaults(
		core.WithTimeout(30*time.Second), core.WithAttrs(slog.String("service", "checkout"))))
	defer tasks.Close()

	nop := func(context.Context) error { return nil }
	for _, task := range []*core.Task{
		tasks.Go(context.Background(), "send_receipt", nop),
		tasks.Go(context.Background(), "warm_cache", nop, core.WithTimeout(time.Minute), core.WithAttrs(slog.String("region", "eu"))),
	} {
		fmt.Println(task.Name(), task.Timeout(), task.Attrs())
	}
	// Output:
	// send_receipt 30s [service=checkout]
	// warm_cache 1m0s [service=checkout region=eu]
}

// Wait returns the task's error; or that of its own context, and the task goes on.
func ExampleTask_Wait() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	mailbox := make(chan error)
	task := tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return <-mailbox })

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(task.Wait(ctx), "-", task.Outcome())

	mailbox <- errors.New("mailbox full")
	fmt.Println(task.Wait(context.Background()), "-", task.Outcome())
	// Output:
	// context deadline exceeded - pending
	// mailbox full - failed
}

// The cause tells why a context is done.
func ExampleTask_Cancel() {
	tasks := core.New()
	task := tasks.Go(context.Background(), "reindex", func(ctx context.Context) error {
		<-ctx.Done()
		fmt.Println(ctx.Err(), "-", context.Cause(ctx))
		return ctx.Err()
	})
	task.Cancel()
	<-task.Done()
	fmt.Println(task.Outcome())
	// Output:
	// context canceled - afterspan: task cancelled: context canceled
	// cancelled
}

// A middleware asks what the manager will make of an error.
func ExampleTask_OutcomeOf() {
	count := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			err := next(ctx, t)
			fmt.Printf("tasks_total{name=%q, outcome=%q}\n", t.Name(), t.OutcomeOf(err))
			return err
		}
	})
	tasks := core.New(core.WithMiddleware(count), core.WithLogger(slog.New(slog.DiscardHandler)))
	tasks.Go(context.Background(), "call_webhook", func(ctx context.Context) error {
		<-ctx.Done()
		return errors.New("connection reset")
	}, core.WithTimeout(time.Millisecond))
	_ = tasks.Wait(context.Background())
	// Output: tasks_total{name="call_webhook", outcome="timed_out"}
}

// NewTask is for the test of a middleware, without a manager.
func ExampleNewTask() {
	label := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			if err := next(ctx, t); err != nil {
				return fmt.Errorf("%s: %w", t.Name(), err)
			}
			return nil
		}
	})
	fails := func(context.Context, *core.Task) error { return errors.New("mailbox full") }
	fmt.Println(label.Wrap(fails)(context.Background(), core.NewTask("send_receipt")))
	// Output: send_receipt: mailbox full
}

// A panic does not end the process. It is the error of its task.
func ExamplePanicError() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	task := tasks.Go(context.Background(), "render", func(context.Context) error { panic("no such template") })

	if panicked, ok := errors.AsType[*core.PanicError](task.Wait(context.Background())); ok {
		fmt.Println(panicked.Value)
		fmt.Println(panicked)
		fmt.Println(len(panicked.Stack) > 0)
	}
	// Output:
	// no such template
	// panic: no such template
	// true
}

// Shutdown returns in time, also where a task does not. The error names it.
func ExampleShutdownError() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	answer := make(chan struct{})
	tasks.Go(context.Background(), "call_webhook", func(context.Context) error { <-answer; return nil })

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := tasks.Shutdown(ctx)
	if left, ok := errors.AsType[*core.ShutdownError](err); ok {
		for _, task := range left.Remaining {
			fmt.Println(task.Name, task.State)
		}
		fmt.Println(left.Stats.Status, left.Stats.RemainingTasks)
		fmt.Println(errors.Is(err, context.DeadlineExceeded))
	}

	close(answer)
	fmt.Println(tasks.Close())
	// Output:
	// call_webhook cancelling
	// timeout 1
	// true
	// <nil>
}

func ExampleShutdownStats() {
	out, _ := json.Marshal(core.ShutdownStats{Status: "completed", InitialTasks: 3, CompletedTasks: 2, CancelledTasks: 1, Duration: 1500 * time.Millisecond})
	fmt.Println(string(out))
	// Output: {"status":"completed","initial_tasks":3,"spawned_tasks":0,"completed_tasks":2,"failed_tasks":0,"cancelled_tasks":1,"timed_out_tasks":0,"rejected_tasks":0,"remaining_tasks":0,"duration_seconds":1.5}
}

func ExampleTaskInfo() {
	out, _ := json.Marshal(core.TaskInfo{
		ID: 7, Name: "send_receipt", State: "running", Age: 1500 * time.Millisecond, Timeout: 10 * time.Second,
		Attrs: []slog.Attr{slog.String("thread_id", "t-42"), slog.Duration("backoff", 2*time.Second)},
	})
	fmt.Println(string(out))
	// Output: {"id":7,"name":"send_receipt","state":"running","age_seconds":1.5,"timeout":10,"context":{"thread_id":"t-42","backoff":"2s"},"done":false}
}

func ExampleStats() {
	out, _ := json.Marshal(core.Stats{Created: 5, Completed: 2, Failed: 1, Running: 1, Queued: 1})
	fmt.Println(string(out))
	// Output: {"created":5,"completed":2,"failed":1,"cancelled":0,"timed_out":0,"rejected":0,"running":1,"queued":1,"overdue":0,"oldest_seconds":0}
}
