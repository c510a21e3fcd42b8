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
// JSON. A publish that fails is a failed task: it is logged, counted, and marked in its span.
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
// An event may arrive twice, with the same ID, because a broker's acknowledgement can be lost.
// Remember the IDs, or make it harmless to handle an event twice. A publish that timed out may
// still be delivered, late.
//
// Sequence gives the order of the events of a key. With [Ordered], a gap means that an event was
// tried and could not be delivered. Events that were refused, or cancelled while they waited, get
// no number.
//
// # Concurrency
//
// All types are safe for concurrent use. An event's maps and slices must not be changed while
// Go copies them.
package publisher
