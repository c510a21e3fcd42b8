// Package otelmw traces and meters background tasks with OpenTelemetry.
//
// [New] returns a middleware for [core.New] that makes a span of every task:
//
//	tasks := core.New(core.WithMiddleware(otelmw.New()))
//
// It imports the OpenTelemetry API only. Without an SDK in the program it records nothing.
//
// # Spans
//
// A task outlives the span that started it. By default its span is therefore the root of a trace of
// its own, and the two traces are linked both ways (see [Relation]):
//
//   - The spawner's trace has a short PRODUCER span "spawn NAME" under the spawner's span. It links to
//     the task's span and tells what became of the task.
//   - The task's trace begins with a CONSUMER span named NAME, which links to "spawn NAME".
//
// If the spawner's span is not sampled, or belongs to another process, there is no "spawn NAME" and
// the task links to the spawner's span itself. Without a span in the context the task's span is a
// root without links.
//
// # The outcome in the spawner's trace
//
// A task that fails within the hold is an error in the trace of the request that started it. The
// task does not make that trace look longer. "spawn NAME" ends, by its end time, at the moment
// when Go returns. It is handed to the span processors later: when the task has ended, with its
// outcome, or after five seconds, with the outcome pending. [WithSpawnSpanHold] changes the five
// seconds.
//
// This has limits. Know them before you build alerts on it:
//
//   - A task that fails after the hold is not an error in the spawner's trace. Its own trace has it.
//   - If the process dies during the hold, "spawn NAME" is lost.
//   - A tail sampler that decides before the hold is over does not see the outcome. Datadog's exporter
//     waits for all spans of a local trace, and so for the hold. Sentry's drops children that finish
//     after their parent, and so "spawn NAME". Use a hold of 0 or [WithoutSpawnSpan] there.
//   - Each failure is an error on two spans. Count errors on CONSUMER and SERVER spans only.
//   - A task that waits in the queue for longer than the hold leaves a "spawn NAME" without a link. The
//     task's span links back all the same.
//
// One queue and one timer serve all tasks of a middleware. If more than 512 spans are due at once,
// they are handed over in portions, 20 ms apart: 512 spans, or 1/64 of the held spans if that is
// more.
//
// # Attributes
//
// The task's span starts with these attributes, so that samplers see them:
//
//	afterspan.task.name         string
//	afterspan.task.id           int     unique within its manager
//	afterspan.task.timeout      double  seconds; only if the task has a timeout
//	afterspan.task.queue_time   double  seconds from Go to the start of the run
//	afterspan.task.outcome      string  pending, replaced at the end
//	afterspan.task.attempt      int     only from 2 on: a retry outside called again
//	afterspan.spawner.trace_id  string  only with a link: the span in the context given to Go
//	afterspan.spawner.span_id   string
//	afterspan.origin.trace_id   string  the trace of the spawner of the outermost task
//
// Most trace stores cannot look up links backwards. Search for afterspan.spawner.trace_id to find
// the tasks that a trace started, and for afterspan.origin.trace_id to find those that they started
// as well, at any depth. The tasks below one that was started outside of any span have that task's
// own trace as their origin; that task itself has none.
//
// Then come the task's own attributes under their own keys, with the names of groups joined by
// dots. Strings, integers, bools and floats keep their types. A [time.Duration] is written like
// "1.5s", a [time.Time] in RFC 3339, errors, Stringers and slices of basic values as package fmt
// prints them, and everything else as JSON. Text longer than 4 KiB is cut and says so. Invalid
// UTF-8 is replaced. An attribute of the task under afterspan.* is dropped. A span starts with at
// most 127 attributes; the others are dropped.
//
// At the end come:
//
//	afterspan.task.outcome       string  completed, failed, cancelled, timed_out, rejected or abandoned
//	afterspan.task.cancel_cause  string  of cancelled: cancel, shutdown, or context (Attached, Group)
//	afterspan.task.handed_over   bool    true if it was cancelled and a middleware saved its work
//	error.type                   string  of failed and timed_out
//
// Failed and timed_out set the status Error, with the text of the error; abandoned sets it, too. The
// other outcomes leave the status alone.
//
// error.type is "timeout" for every task that timed out, "panic", "goexit", the result of a method
// ErrorType() string of an error in the chain, or the type of the innermost error that is not made
// by package errors or fmt; "_OTHER" if a method of the error panics. All errors made by
// errors.New have the type "*errors.errorString". Give errors that you want to tell apart a method
// ErrorType.
//
// A panic adds one "exception" event with the stack. If a task returns the panic of another task
// as its error, that is an ordinary error.
//
// "spawn NAME" has the name, the id, the outcome, the cause of a cancel, and error.type. Each link
// has afterspan.link.kind: "task" if it leads to the task, "spawner" if it leads back.
//
// # Tasks without a run
//
//   - A task that the manager refused is an event "task refused" on the spawner's span, with
//     afterspan.task.name and afterspan.refusal.reason (full or closed).
//   - A task that a middleware refused has the outcome rejected.
//   - A task that was cancelled in the queue has no span of its own. "spawn NAME" has its attributes,
//     unless the hold was over before.
//   - A task that still runs when Shutdown returns has its spans ended, with the outcome abandoned.
//
// # Link or child
//
// The default is a link because a task may outlive its spawner. As a child it would make the
// request look as long as its slowest task, and the trace look broken until the last span has
// arrived. A store or a sampler of whole traces would have to wait for the task. OpenTelemetry's
// conventions for messaging use links for the same reasons. The price is that there is no single
// trace with all spans.
//
// A short task that belongs to the request is better off as a child. Use [WithRelation], or
// [WithRelationFunc] to decide for each task. A child has no "spawn NAME" and no link.
//
// # Among other middlewares
//
// Put this middleware first: the others then run inside the task's span. A retry inside makes one
// span of all attempts. A retry outside makes a span and a duration of each attempt, and "spawn
// NAME" tells the outcome of the task. A circuit breaker outside may leave a task without a span of
// its own; "spawn NAME" tells its outcome, too.
//
// Spawn hooks of later middlewares see the spawner's span. A task without a span of its own,
// because it is filtered or there are only metrics, runs in the spawner's context unchanged, so the
// spans of the libraries that it calls are under the spawner's span.
//
// # Metrics
//
//	afterspan.task.duration        histogram        s       name, outcome, error.type
//	afterspan.task.queue.duration  histogram        s       name
//	afterspan.task.active          up-down counter  {task}  name
//	afterspan.task.refused         counter          {task}  name, reason
//
// The attributes are afterspan.task.name, afterspan.task.outcome, error.type and
// afterspan.refusal.reason (full, closed, or rejected by a middleware). No id and no attribute of a
// task gets into metrics. Use few task names: an SDK keeps a time series for each, up to its limit.
//
// The duration is that of each run; rejected tasks and tasks cancelled in the queue have none. The
// queue duration is recorded once for each accepted task. [ObserveManager] adds what a manager
// holds.
//
// # Sampling
//
// A task's trace has an id of its own, so a sampler that goes by the trace id decides twice: at 10 %
// it keeps both traces of only 1 % of the tasks. Package linksampler makes the task follow its
// spawner.
//
// # In Jaeger
//
// Jaeger shows a link as a reference: open the span, then References, and click "span in another
// trace". Its search finds no links. It finds tags: the task's own attributes, the trace ids of the
// spawner and the origin, and afterspan.task.outcome. A search for afterspan.task.outcome=failed
// also finds the trace of the request, because of "spawn NAME". To find only the task, add its
// operation or one of its own attributes.
//
// Jaeger warns of clock skew when a child ends after its parent, unless both spans come from one
// host. To tell hosts apart, its pages read the resource attribute ip, its API v3 host.name.
//
// # Shutdown
//
// Shut the manager down before the tracer provider: spans that end later are lost. Give the
// provider a deadline of its own, since a task that does not stop uses up all of the manager's.
//
// # Errors
//
// This package never stops a task or makes it panic. Panics of the SDK or of a callback go to
// [otel.Handle].
package otelmw
