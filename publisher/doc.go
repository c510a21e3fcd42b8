// Package publisher publishes events in the background: to a broker, a log, a terminal, or all of them, in order if
// wanted, and with the trace that they come from.
//
//	events := publisher.NewOrdered(tasks, redispub.New(client, "agent.events"))
//	events.Publish(ctx, publisher.Event{
//		Kind: publisher.KindNodeExecution, Type: publisher.TypeStart, NodeName: "plan", ThreadID: threadID,
//	})
//
// # Publishing
//
// A [Publisher] is one method: it sends an event, and returns when that has arrived. [Console], [Slog], [Multi] and [Func] are here.
// The adapters to brokers are modules of their own, so that nobody downloads a client they do not use:
// redispub, natspub, amqppub and kafkapub. They take a client that you have made, and leave closing it to you.
//
// [Publish] and [Ordered] publish in the background, as tasks of a [core.Manager]. An event is copied at the call, and what
// does not marshal to JSON is found out then. A publish that fails is a task that failed: it is logged, counted,
// and marked in its span. A shutdown of the manager delivers what was accepted. What it could not deliver in its time it counts.
//
// # Shutdown
//
// Shutdown of the manager delivers what was accepted before, as long as its time allows, and then cancels. That is no
// error of Shutdown, which returns one only for tasks that do not stop: look at its figures.
//
//	stats, err := tasks.Shutdown(ctx)
//	if lost := stats.CancelledTasks + stats.RemainingTasks; lost > 0 || err != nil {
//		slog.Error("not all was delivered", "lost", lost, "error", err)
//	}
//
// A manager of their own for events, shut down after the others, also takes what tasks publish as they are cancelled, and its
// [core.WithLimit] bounds how many keys are published side by side.
//
// # What arrives
//
// An event goes out as a CloudEvent in JSON ([Structured]), as one whose attributes are headers ([Binary]), or in the form
// that Agentflow gives its events ([Plain]). Its data is that plain form in all of them. [Decode], and the Decode of each adapter, reads
// all three.
//
// The trace context of the publishing task travels with each event: in its traceparent, and in the headers of the brokers that
// have headers. A consumer links to it:
//
//	ctx, span := tracer.Start(ctx, "handle", trace.WithLinks(trace.Link{SpanContext: event.SpanContext()}))
//
// A broker's acknowledgement can be lost, so an event may arrive twice, with the same ID: remember the IDs, or make handling an
// event twice harmless. One that failed, since its time was up, may still arrive, and late. Baggage does not travel. Sequence tells the order within a key. With [Ordered] a gap is an event that was tried and could not be
// delivered; those that were refused, or cancelled while they waited, have no number.
//
// # Concurrency
//
// All types are safe for concurrent use. An event's maps and slices must not be changed while Publish copies them.
package publisher
