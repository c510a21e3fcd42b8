// Package riverq runs afterspan's middlewares around the jobs of [River], a job queue on PostgreSQL
// or SQLite: for work that must survive a crash, or that many machines share.
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
// The Spawn hooks are called where a job is inserted. The trace goes into the job's metadata, as
// traceparent and tracestate at the top level, where River's otelriver also puts it and looks for
// it. The attributes of [core.ContextWithAttrs] go with it, at most 8 KiB of them;
// [log/slog.LogValuer] values are resolved first. Where the job runs, in whatever process and
// however much later, each attempt is a task with a span of its own, which links to the insert.
//
// The task has the kind of the job as its name, the job's ID, and River's number of the attempt.
// Its attributes are those of the insert and a group river, which stands for any other of that
// name:
//
//	river.queue, river.priority, river.max_attempts
//	river.since_insert   seconds; the queue time counts from the time for which the job was scheduled
//	river.last_attempt   true if River discards the job when this attempt fails
//	river.rescues        how often River took the job over from a dead process; absent if never
//	river.snoozed        seconds; set at the end, in the span only
//
// There is no afterspan.task.timeout, since the timeout is River's. A search for afterspan.task.id
// and the kind finds all attempts of a job.
//
// The page of taskz and coretest.Recorder are for the tasks of a manager: do not give them to
// [New]. A page that a manager and River share can show River's job 1 in place of the manager's
// task 1. A Recorder keeps the inserts as pending for ever and never sees an attempt.
//
// # Outcomes
//
// The outcome of an attempt follows what River makes of it, in River's order. The first that
// applies counts:
//
//	no error                                     completed
//	JobCancel of the client                      cancelled
//	river.JobSnooze                              cancelled
//	the context's error when the client stops    cancelled, with the cause shutdown
//	river.JobCancel                              cancelled
//	any error after Task.Cancel                  cancelled, with the status Unset; for River it is an
//	                                             error: it retries the job, or discards it
//	any error after River's timeout              timed_out
//	any other error, or a panic                  failed; River retries the job, or discards it
//	runtime.Goexit                               failed, but River does not notice: the job is running for it
//	                                             until it is rescued, and Stop waits for it
//
// If the context given to Start is cancelled, River sees an error and counts the attempt. Stop with
// SoftStopTimeout, or StopAndCancel, puts the job back instead. In both cases the outcome is
// cancelled.
//
// A snooze, and a stop that puts the job back, lower River's attempt: the next attempt has the same
// number. If a middleware of the chain refuses an attempt, as a circuit breaker does, the outcome
// is rejected; River counts a failed attempt. If a middleware wraps an error of River, River still
// finds it. The plugin repeats a panic after the chain has seen it, so River records it and calls
// HandlePanic. The stack trace that River stores then begins at the plugin; the original stack is
// in the log and in the span.
//
// # Inserts
//
// A batch of up to 100 jobs has a span for each job, a larger one a span for each kind: see
// [WithBatchSpawns]. A job whose metadata already has a valid traceparent keeps it and gets no
// span, only the attributes.
//
// River calls its middlewares within the transaction. So the span "spawn KIND" says only that the
// job was written, with the outcome pending. If InsertTx is rolled back, or the commit fails, the
// span is there and the job is not. River has no hook for the commit.
//
// If the insert fails, the span has the outcome rejected, and the caller gets the error. A unique
// job that is skipped as a duplicate is no refusal: the span of the caller gets an event "job
// skipped as duplicate" with the id of the existing job.
//
// A periodic job has no spawner: its span is a root without a link. River inserts periodic jobs with
// the context given to Start, and runs all jobs with it, so they have the attributes of that
// context. A job without a trace links to a span of that context, unless that has ended.
//
// # From task to job
//
// [Go] starts a function with typed arguments as a task of this process, and [WorkFunc] makes a
// worker of the same function. So moving it out of the process changes one line, where it is
// called. Before and after:
//
//	riverq.Go(ctx, tasks, ReceiptArgs{OrderID: id}, sendReceipt)
//	_, err := client.Insert(ctx, ReceiptArgs{OrderID: id}, nil)
//
// [Handover] is between the two: a task started with Go runs in this process, and is inserted as a
// job only if a shutdown cancels it. So a deploy loses nothing that the database takes within
// [WithInsertTimeout], and a task costs no transaction. Go does not start tasks of a [core.Group].
//
// # The death of a process
//
// The leader of River's clients looks twice a minute, and rescues jobs, such as those of a killed
// process, that have been running for RescueStuckJobsAfter, an hour by default. Set that option to
// a little more than your longest job takes. The attempt that was interrupted has no span, since
// its process died with it. The next attempt shows that it began: afterspan.task.attempt is 2, and
// river.rescues 1.
//
// # With otelriver
//
// Use one of the two for traces; otelriver's metrics do no harm beside this package. If both are
// installed, each makes a span of each attempt. With EnableTracePropagation a job carries
// otelriver's trace: outside the plugin it is there first, and inside the plugin it overwrites the
// plugin's. So the spans of the attempts link to river.insert_many. The attributes are there in
// both cases. A job of [Handover] then links to the insert at the shutdown, a trace of its own, and
// only afterspan.origin.trace_id leads to the request.
//
// [River]: https://riverqueue.com
package riverq
