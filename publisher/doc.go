// Package publisher publishes events in the background: to a broker, a log, a terminal, or several
// of them. It can keep events in order, and each event carries the trace context of its origin.
//
//	events := publisher.NewOrdered(tasks, redispub.New(client, "agent.events"))
//	events.Go(ctx, publisher.Event{
//		Kind: publisher.KindNodeExecution, Type: publisher.TypeStart, NodeName: "plan", ThreadID: threadID,
//	})
//
// # Publishing
//
// A [Publisher] has one method, Publish, which sends an event and returns when the event has
// arrived. This package provides [Console], [Slog], [Multi] and [Func]. The adapters to brokers are
// redispub, natspub, amqppub and kafkapub. Each is a module of its own, so a program downloads only
// the client that it uses. An adapter takes a client that you have made, and never closes it.
//
// The function [Go] and the type [Ordered] publish in the background, as tasks of a
// [core.Manager]. They copy the event during the call, and detect data that does not marshal to
// JSON. The event's strings may therefore be those of a web framework that reuses their memory. The
// context may not: https://github.com/afterspan/afterspan/blob/main/docs/web-frameworks.md says which
// one to use with gin, echo and fiber. A publish that fails is a failed task: it is logged, counted,
// and marked in its span.
//
// # Shutdown
//
// A shutdown of the manager delivers the accepted events for as long as its time allows, and then
// cancels the rest. Shutdown returns a [core.ShutdownError] that names the tasks that it cancelled
// and the tasks that did not stop. Its figures count them:
//
//	stats, err := tasks.Shutdown(ctx)
//	if lost := stats.CancelledTasks + stats.RemainingTasks; lost > 0 || err != nil {
//		slog.Error("events were not delivered", "lost", lost, "error", err)
//	}
//
// You can give events a manager of their own and shut it down after the others. It then also
// accepts the events that tasks publish while they are being cancelled. Its [core.WithLimit] bounds
// how many keys are published at the same time.
//
// # Encodings
//
// An event is sent in one of three encodings: as a CloudEvent in JSON ([Structured]), as a
// CloudEvent whose attributes are headers ([Binary]), or in the JSON form of Agentflow's events
// ([Plain]). The data of both CloudEvents is that plain JSON. [Decode], and the Decode function of
// each adapter, reads all three.
//
// The trace context of the publishing task travels with each event, in its TraceParent field and,
// if the broker has headers, in the headers. A consumer links to it:
//
//	ctx, span := tracer.Start(ctx, "handle", trace.WithLinks(trace.Link{SpanContext: event.SpanContext()}))
//
// Baggage does not travel.
//
// # Delivery
//
// An event may arrive twice, with the same ID, because a broker's acknowledgement can be lost. A
// publish that timed out may still be delivered, late.
//
// Sequence gives the order of the events of a key. With [Ordered], a gap means that an event was
// tried and could not be delivered. Events that were refused, or cancelled while they waited, get
// no number.
//
// # Consuming
//
// A consumer decodes an event, does its work, and acknowledges the event after that. The example of
// Decode in each adapter is a complete consumer.
//
// If a consumer dies between the work and the acknowledgement, the broker delivers the event again.
// The consumer example of this package therefore stores the ID of the event in the transaction of
// the work, and recognises the duplicate. This is exact for work in that database only. A mail that
// the work sends is sent again if the consumer dies before the commit. A store without a common
// transaction, such as a key in Redis, has to choose: if the ID is stored before the work, an event
// is lost when the consumer dies in between; if it is stored after the work, the work is repeated.
//
// An event that can never be handled must be acknowledged as well, or it comes back for ever. The
// consumers first put it where somebody finds it. [IsPermanent] tells such an event from an outage:
// it is true for the errors of Decode and for those that your work marks with [Permanent].
//
// # Cost
//
// A small event costs the CPU time of three to five empty tasks of core. It makes 18 to 32
// allocations: copies of its strings and data, its ID, and its task with two attributes. An empty
// task makes two. Encoding comes on top. The benchmarks Publish and Encode measure both.
//
// # Concurrency
//
// All types are safe for concurrent use. An event's maps and slices must not be changed while
// Go copies them.
package publisher
