// Package riverq runs afterspan's middlewares around the jobs of [River], a job queue on PostgreSQL or
// SQLite: for work that must survive a crash, or that many machines share.
//
// # Jobs
//
// A [Plugin] puts the chain of a [core.Manager], otelmw first of all, around a River client:
//
//	client, err := river.NewClient(driver, &river.Config{
//		Plugins: []rivertype.Plugin{riverq.New(riverq.WithMiddleware(otelmw.New()))},
//		…
//	})
//
// Where a job is inserted, the Spawn hooks are called. The trace goes into the job's metadata, as
// traceparent and tracestate at the top level, where River's otelriver puts it and looks for it, too. The
// attributes of [core.ContextWithAttrs] go with it, at most 8 KiB of them; [log/slog.LogValuer] values are
// resolved first. Where the job runs, in whatever process and however much later, each attempt is a task
// with a span of its own, which links to the insert.
//
// The name of the task is the kind of the job, its ID that of the job, and its attempt River's. Its
// attributes are those of the insert and the group river:
//
//	river.queue, river.priority, river.max_attempts
//	river.since_insert   seconds, where the queue time counts from when the job could have started
//	river.last_attempt   true if River discards the job should it fail
//	river.rescues        how often River took the job over from a dead process; absent if never
//	river.snoozed        at the end, in the span alone: for how long the job was snoozed
//
// A search for afterspan.task.id finds all attempts of a job, together with its kind.
//
// # Outcomes
//
// The outcome of an attempt follows what River makes of it, in River's order. The first that applies
// counts:
//
//	no error                                     completed
//	JobCancel of the client                      cancelled
//	river.JobSnooze                              cancelled
//	the client stops, and the error is its       cancelled, with the cause shutdown
//	river.JobCancel                              cancelled
//	any error after River's timeout              timed_out
//	any other error, panic or runtime.Goexit     failed; River retries the job, or discards it
//
// River sees an error where the context given to Start is cancelled, and counts the attempt. Stop with
// SoftStopTimeout, or StopAndCancel, puts the job back instead. In both cases the outcome is cancelled.
//
// A snooze, and a stop that puts the job back, lower River's attempt: the next attempt has the same
// number. A middleware may wrap an error of River, and River still finds it. The plugin raises a panic
// again after the chain has seen it, so River records it and calls HandlePanic. The trace that River
// stores begins at the plugin then; the stack is logged, and in the span.
//
// # Inserts
//
// A batch of up to 100 jobs has a span for each job, a larger one a span for each kind: see
// [WithBatchSpawns]. A job whose metadata has a traceparent already keeps it.
//
// River calls its middlewares within the transaction. So the span "spawn KIND" says only that the job was
// written, with the outcome pending. After a rollback, of InsertTx or of a commit that fails, the span is
// there and the job is not. No hook tells of a commit.
//
// If the insert fails, the span has the outcome rejected, and the caller the error. A unique job that is
// skipped as a duplicate is no refusal: the span of the caller gets an event "job skipped as duplicate" with
// the id of the job that is there. A periodic job has no spawner, so its span links to nothing.
//
// # From task to job
//
// [Go] starts a function with typed arguments as a task of this process, and [WorkFunc] makes a worker of
// the same function. So to move it out of the process is one line where it is called. Before and after:
//
//	riverq.Go(ctx, tasks, ReceiptArgs{OrderID: id}, sendReceipt)
//	_, err := client.Insert(ctx, ReceiptArgs{OrderID: id}, nil)
//
// [Handover] is between the two: what was started with Go runs in this process, and is inserted as a job
// only if a shutdown cancels it. So nothing is lost at a deploy, and a task costs no transaction.
//
// # The death of a process
//
// The jobs of a process that was killed are rescued by the leader of River's clients when they
// have been running for RescueStuckJobsAfter, an hour by default. It looks twice a minute. Set it to a
// little more than your longest job takes. The attempt that was interrupted has no span, since its
// process died with it. That it began is said by the next one: afterspan.task.attempt is 2, and
// river.rescues 1.
//
// # With otelriver
//
// Use one of the two for traces. If both are installed, each makes a span of each attempt, and with
// EnableTracePropagation it is otelriver's trace that a job carries: inside the plugin it overwrites the
// plugin's, and outside it the plugin finds a trace already. otelriver's metrics do no harm beside this
// package.
//
// [River]: https://riverqueue.com
package riverq
