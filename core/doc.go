// Package core runs background tasks: work that outlives the request that started it.
//
// Use it in place of a go statement. It keeps the trace and the values of the request, reports
// errors and panics, counts what is running, and lets tasks finish at a deploy.
//
// # Usage
//
// Create one [Manager] when the program starts:
//
//	tasks := core.New()
//	defer tasks.Close()
//
// and start tasks with it:
//
//	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error {
//		return mail.Send(ctx, receipt)
//	}, core.WithTimeout(10*time.Second), core.WithAttrs(slog.String("thread_id", threadID)))
//
// [Manager.Go] returns a [Task], a handle: use it to wait for the task, cancel it, or read its
// outcome. You may ignore it: errors, panics and refusals are logged.
//
// [Manager.Close] cancels running and queued tasks. [Manager.Shutdown] first lets them finish, for
// as long as a deploy allows.
//
// A [Group] starts tasks that belong together and waits for them. A [Keyed] runs the tasks of one
// key in order. [WithLimit] bounds how many tasks run and how many are queued.
//
// The files example_patterns_test.go and example_service_test.go have patterns: a fan-out with
// results, a loop, delayed work, a webhook sender with retries, a 202 with a handle, a limit for
// each tenant, an audit log, and several managers in one shutdown.
//
// # Middleware
//
// Every accepted task runs through a chain of middlewares, which [New] composes once. The first is
// the outermost:
//
//	core.New(core.WithMiddleware(otelmw.New(), retry))
//
// A [Middleware] has hooks for the start of a task (before Go returns), for its run and its end,
// and for tasks that were refused or abandoned. [MiddlewareFunc] makes one that only wraps the run.
//
// # Concurrency
//
// All methods are safe for concurrent use. No lock is held while middlewares, log handlers or
// LogValue methods run, so they may call the manager. But do not call [Manager.Wait], Shutdown or
// Close from a task, a hook or a log handler: the call would wait for itself.
//
// A manager starts goroutines only to run tasks and, for a short time, to log, to cancel contexts
// or to call Abandoned hooks. After a task, its goroutine runs the next ready task, or exits if
// there is none.
//
// Go cannot kill a goroutine: a Func that ignores its context keeps running. Five seconds after the
// cancel or the timeout, the manager logs the task once, with its stack if possible, and counts it
// as Overdue in [Stats].
//
// # Logs
//
// Tasks created, completed or cancelled are logged at DEBUG, timeouts at WARN, and failures at
// ERROR, a panic with its stack. Refused tasks are logged at WARN, at most one line a second; its
// attribute "suppressed" is the number of refusals before it that got no line. The start and the
// end of a shutdown are logged at INFO, or at DEBUG if no task was unfinished. Tasks that a
// Shutdown cancelled and tasks that are left are logged at WARN: twenty of each, and the number of
// the others.
//
// Each line about a task has a group "task" with its name and, if it was accepted, its id. The line
// about its end adds the outcome, the duration of the run unless it was refused, and the cause
// after a cancel or a timeout. The attributes of the task are outside the group.
//
// Lines from the start of the run on are logged with the innermost context that the chain came to,
// usually that of the Func, so that a trace-aware handler can add trace and span ids. When
// "created" is logged, the task's span does not exist yet. A panic in a log handler is recovered. A
// log handler that blocks delays the tasks that log, and Shutdown.
//
// # Promises
//
// The tests in the named files check each promise.
//
//  1. A task's context has the values of the context given to Go, but not its cancellation or deadline.
//     (context_test.go, context_standard_test.go)
//  2. Every accepted task runs through the chain once and has one outcome, and every call of Go that
//     returns is counted once. (lifecycle_test.go, skip_test.go, fuzz_test.go)
//  3. Every refusal is logged, or counted by a later line, without code in the caller. After a
//     shutdown that is the line of the next refusal, if there is one. (refusal_test.go,
//     throttle_test.go, hooks_test.go)
//  4. A panic in a task, a hook or a log handler does not end the process. (panic_test.go,
//     spawnpanic_test.go)
//  5. The outcome is decided once, by the state when the Func last returned; [Task.OutcomeOf] names the
//     one exception. (outcome_test.go, outcome_hostile_test.go)
//  6. Log lines are as described above. (log_test.go, log_handler_test.go, overdue_test.go)
//  7. Shutdown drains, cancels what is left, names the work that was lost, and does not wait for tasks
//     beyond its deadline. (shutdown_test.go, lost_test.go)
//  8. TaskInfo and Stats marshal to JSON. (info_test.go, stats_test.go)
//  9. All methods are safe for concurrent use. After Close has returned nil, no task, hook or timer is
//     left. (race_test.go, race_shutdown_test.go, worker_test.go)
//  10. LogValuers are resolved in log lines and in JSON. (info_test.go)
//  11. Go copies the attributes, but not what a map, slice or pointer in them refers to. (info_test.go,
//     attrs_test.go)
//
// # Testing
//
// Package coretest has a manager for tests, and a Recorder of started and refused tasks. In a
// bubble of [testing/synctest] timeouts are exact. [NewTask] makes a task for testing a middleware.
//
// # Other engines
//
// A [Chain] runs the same middlewares around the jobs of a queue, where tasks must survive the
// process. Package riverq uses it for River.
package core
