// Package core runs background tasks: work that goes on after the request, or the node of an agent,
// that started it has returned.
//
// It is the one line in place of a go statement that loses nothing of what the statement loses: the trace, the
// panic, the error, the values of the request, the count of what is running, and the last second of
// work at every deploy.
//
// # Usage
//
// A program has a [Manager], for as long as it lives:
//
//	tasks := core.New()
//	defer tasks.Close()
//
// and starts tasks with it:
//
//	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error {
//		return mail.Send(ctx, receipt)
//	}, core.WithTimeout(10*time.Second), core.WithAttrs(slog.String("thread_id", threadID)))
//
// [Manager.Go] returns a [Task], a handle to wait for it, cancel it, or ask how it ended. It may be ignored:
// an error or a panic is logged, and a refusal is, too.
//
// # The context of a task
//
// It has the values of the context given to Go and none of its cancellation or deadline. It is
// cancelled by the task's own timeout, by [Task.Cancel] and [Manager.CancelAll], by
// [Manager.Shutdown] and [Manager.Close], and by the task's end; [context.Cause] tells which: [ErrTimeout],
// [ErrCancelled], [ErrShutdown] or [context.Canceled]. In all else it behaves as the contexts of package context do.
// The values are not copied: what belongs to the request alone, a transaction say, is gone when the task runs.
//
// A goroutine cannot be killed. A Func that does not look at its context goes on, and five seconds after it was
// cancelled the manager logs, once, its name and where it is.
//
// # Outcomes
//
// Each accepted task ends in exactly one [Outcome]: completed, failed, cancelled or timed_out. It is decided
// once, by the state at the moment the Func returns: see [Task.OutcomeOf]. A task that was not accepted is rejected.
//
// # Middleware
//
// Every task passes a chain of [Middleware], composed once by [New]. The first is the outermost:
//
//	core.New(core.WithMiddleware(otelmw.New(), retry))
//
// A Middleware sees the spawn, before Go returns, and the run. One that only wraps the run is a [MiddlewareFunc].
//
// # Logs
//
// Created, completed and cancelled are logged at DEBUG, timed out at WARN, failed at ERROR, a panic
// with its "stack"; refused tasks at WARN, one line a second at most, with the number "held_back" since the last; the
// start and the end of a shutdown at INFO, and the first twenty tasks left over at WARN. Each line has a group "task" with
// name and id, at the end with duration (of the run) and outcome, and beside it the task's own attributes. It is logged with the context
// that the task's Func had, so that a handler which knows traces adds the task's ("created" comes before the
// task has a span, and is logged with what the Spawns made of the spawner's context). A handler that panics
// harms no task; one that blocks holds up the tasks that log.
//
// # Concurrency
//
//   - All methods are safe for concurrent use.
//   - No code of the user's is called under a lock: middlewares, log handlers and LogValue may call the manager.
//   - Wait, Shutdown and Close are not for calling from inside a task, which they would wait for; nor from a
//     log handler, since the line about a task's end is logged inside it.
//   - A manager runs no goroutine but those of its tasks, and for a moment the one that logs what does not stop. A goroutine
//     that has ended a task takes another one, if there is one that could start just then, and else ends. No task waits for it.
//     After Close has returned nil nothing is left.
//
// # Shutdown
//
// [Manager.Shutdown] drains, then cancels, and returns in time whatever the tasks do, with an error that names
// what did not stop. [Manager.Close] does not drain.
//
// # Testing
//
// A test of code that starts tasks runs in a bubble of [testing/synctest], where timeouts are exact, and
// closes its manager at the end. [NewTask] makes a task for the test of a middleware.
package core
