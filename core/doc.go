// Package core runs background tasks: work that goes on after the request that started it has
// returned.
//
// It takes the place of a go statement and keeps what the statement loses: the trace, the panic,
// the error, the request's values, the count of what is running, and the last second of work at
// every deploy.
//
// # Usage
//
// A program has one [Manager], for as long as it lives:
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
// [Manager.Go] returns a [Task], a handle to wait for it, cancel it, or ask how it ended. The
// handle may be ignored: errors, panics and refusals are logged.
//
// A [Group] starts tasks that belong together and waits for them. A [Keyed] runs the tasks of one
// key in order. [WithLimit] bounds how many run and wait.
//
// # Middleware
//
// Every task passes a chain of [Middleware], composed once by [New]. The first is the outermost:
//
//	core.New(core.WithMiddleware(otelmw.New(), retry))
//
// A Middleware sees the spawn, before Go returns, the run, the end, and the tasks that were refused
// or abandoned. One that only wraps the run is made by [MiddlewareFunc].
//
// # Concurrency
//
// All methods are safe for concurrent use. Middlewares, log handlers and LogValue methods may call
// the manager: they are never called under a lock. Wait, Shutdown and Close are not for calling
// from inside a task, nor from a log handler, which runs inside one: they would wait for that task.
//
// A manager runs no goroutine but those of its tasks and, for a moment, one that logs, cancels or
// reports. A goroutine that has ended a task takes another one that is ready, and else ends.
//
// A goroutine cannot be killed. A Func that does not look at its context goes on. Five seconds
// after it was cancelled, or timed out, it is logged once with its stack, and counted in [Stats].
//
// # Logs
//
// Created, completed and cancelled are logged at DEBUG, timed out at WARN, and failed at ERROR, a
// panic with its stack. Refused tasks are logged at WARN, at most one line a second with the number
// "suppressed" since. The start and the end of a shutdown are logged at INFO, or at DEBUG if there
// was nothing to do. Tasks that a Shutdown cancelled and tasks left over are logged at WARN, twenty
// of each.
//
// Each line about a task has a group "task" with its name and id, and at the end its duration (of
// the run), outcome and cause. The task's own attributes stand beside the group. The line is logged
// with the context that the Func had, so a handler that knows traces adds the task's ids; "created"
// comes before the task has a span. A log handler that panics harms no task; one that blocks holds
// up the tasks that log.
//
// # Promises
//
// Each is held by the tests in the files named.
//
//  1. Values flow, cancellation does not: a task's context has the values of the context given to Go,
//     and none of its cancellation or deadline. (context_test.go, context_standard_test.go)
//  2. Once each: every accepted task passes the chain once and ends in one outcome, and every call of
//     Go is counted once. (lifecycle_test.go, skip_test.go, fuzz_test.go)
//  3. A refusal is never silent, and needs no "if err". (refusal_test.go, hooks_test.go)
//  4. Panics stay inside. (panic_test.go)
//  5. The outcome is decided once, by the state when the Func returns. (outcome_test.go,
//     outcome_hostile_test.go)
//  6. Logs. (log_test.go, log_handler_test.go, overdue_test.go)
//  7. Shutdown drains, then cancels, names what it lost, and returns in time whatever the tasks do.
//     (shutdown_test.go, lost_test.go)
//  8. TaskInfo and Stats marshal to JSON. (info_test.go, stats_test.go)
//  9. Everything is safe for concurrent use, and nothing is left after Close has returned nil.
//     (race_test.go, worker_test.go)
//  10. A slog.LogValuer is resolved wherever attributes are read. (info_test.go)
//  11. Attributes are copied at the spawn. (info_test.go, attrs_test.go)
//
// # Testing
//
// Package coretest has a manager for tests, and a record of the tasks that were started. In a
// bubble of [testing/synctest] timeouts are exact. [NewTask] makes a task for the test of a
// middleware.
package core
