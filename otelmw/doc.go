// Package otelmw traces and meters background tasks with OpenTelemetry.
//
// [New] returns a middleware for [core.New] that makes a span of every task:
//
//	tasks := core.New(core.WithMiddleware(otelmw.New()))
//
// It imports the OpenTelemetry API alone. Without an SDK in the program it records nothing.
//
// # Spans
//
// A task goes on after the span that started it has ended, so by default its span is not a child
// of that one but the root of a trace of its own, and the two are linked both ways (see [Relation]):
//
//   - In the spawner's trace a short PRODUCER span "spawn NAME" stands for the task. It lasts until
//     the run starts, and so shows the wait in the queue, and links to the task's span.
//   - The task's span is a CONSUMER span, called like the task, that links to "spawn NAME".
//
// Where the spawner's span does not record (it is not sampled, or of another process) the task links
// to that span itself, and without any span in the context its span is a root without links.
//
// These attributes are set at the start, so that samplers see them: afterspan.task.name,
// afterspan.task.id, afterspan.task.timeout (seconds, if there is one), afterspan.task.queue_time (seconds),
// afterspan.task.attempt (from 2 on, when a retry outside this middleware calls again),
// afterspan.spawner.trace_id and afterspan.spawner.span_id (with a link: trace stores cannot look
// links up backwards), and the task's own attributes under their own keys, groups joined by dots. The two
// afterspan.spawner attributes name the span in the context given to Go; the link leads to "spawn NAME" under it.
//
// Strings, integers, bools and floats keep their types, a [time.Duration] is written as "1.5s", a [time.Time] in
// RFC 3339, and any other value as package fmt prints it. Text is cut after 4 KiB, and says so; what is not valid
// UTF-8 is replaced. A key under afterspan. that is not ours is dropped, as is what goes over 126 attributes.
//
// At the end comes afterspan.task.outcome: completed, failed, cancelled or timed_out. Failed and timed_out set
// error.type and the status Error; the others leave the status alone. A panic is one "exception" event with its stack.
// error.type is timeout, panic, goexit, what a method ErrorType() string of the error says, or else
// the innermost type of the error that tells anything. A sentinel made by errors.New has none, and all of
// them are "*errors.errorString": give errors that you want to tell apart such a method.
//
// # Link or child
//
// A link is the default, since a task may outlive its spawner. As a child it would make the request look as long as
// its slowest follow-up, keep the trace open, and let it look broken while one of the two has not arrived; and what
// keeps or samples whole traces would wait for the task. OpenTelemetry's conventions for messaging link for the same reasons. What
// is lost is the one trace with all in it. A task that is short and belongs to the request is better off as a child: use
// [WithRelation], or [WithRelationFunc] to decide for each. A child has no "spawn NAME", and no link: within one trace
// it would say nothing new, and trace viewers stumble over it.
//
// # Among other middlewares
//
// Put it first: what comes after is then in the span, with its time and its log lines. A retry after it makes one span of
// all attempts; a retry before it makes a span and a duration of each. What may not call next at all, such as a circuit breaker,
// belongs after it too: a task that never reaches this middleware has no span, and its "spawn NAME" stays open.
//
// # Metrics
//
//	afterspan.task.duration        histogram        s       name, outcome, error.type
//	afterspan.task.queue.duration  histogram        s       name
//	afterspan.task.active          up-down counter  {task}  name
//
// Their attributes are afterspan.task.name, afterspan.task.outcome and error.type, never an id or what a
// task says of itself. Names ought to be few: an SDK keeps a time series for each, up to its limit.
// [ObserveManager] adds what a manager holds and refuses.
//
// # Sampling
//
// A task's trace is another than its spawner's, so a sampler that decides by trace id decides anew: with
// 10 % of each, only 1 % of the pairs are there whole. Package linksampler makes the task follow its spawner.
//
// # In Jaeger
//
// A link is a reference: a span has "References (1)", and a click on it opens the other trace. Neither side is found by it, only by tags:
// afterspan.task.outcome=failed, the task's own attributes, and afterspan.spawner.trace_id, which finds all tasks of a
// trace. The agent's trace does not show that one of its tasks failed, since "spawn NAME" ends as the task starts.
//
// Of a span that ends after its parent, as children and sometimes "spawn NAME" do, Jaeger suspects a clock that is wrong, and
// warns, unless it knows that both are of one host. Its pages go by the resource's attribute ip, its API v3 by host.name.
//
// # Shutdown
//
// The manager's Shutdown comes before the tracer provider's, since a span that ends later is lost. The provider
// needs a deadline of its own: a task that does not stop uses up all of the manager's, and nothing would be exported.
//
// # Errors
//
// Nothing in here stops a task. What the SDK or a callback does wrong goes to [otel.Handle].
package otelmw
