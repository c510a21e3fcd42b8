// Publish is an agent whose progress is followed from another process. The agent publishes its events in the
// background, through NATS or Redis. A subscriber, a process of its own, prints them, each in a span that
// links back to the task that published the event. From the root of the repository:
//
//	go run ./examples/publish                          # NATS, embedded: no server needed
//	go run ./examples/publish -redis 127.0.0.1:6379    # through a Redis that is there
//
// This file has what each process does with events. agent.go is the agent, processes.go starts the two, and
// nats.go and redis.go are the ways between them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/internal/program"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/publisher"
)

const scopeName = "github.com/afterspan/afterspan/examples/publish"

func main() { program.Main("publish", run) }

// runAgent runs the agent and delivers its events. It returns the spans of the tasks that published them.
func runAgent(ctx context.Context, p publisher.Publisher, think time.Duration) (tracetest.SpanStubs, error) {
	spans := tracetest.NewInMemoryExporter() // a service exports by OTLP
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	tasks := core.New(
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp))),
		core.WithTaskDefaults(core.WithTimeout(10*time.Second)), // no event holds up its thread for ever
	)
	a := &agent{tracer: tp.Tracer(scopeName), events: publisher.NewOrdered(tasks, p), think: think}
	err := a.invoke(ctx)

	ctx = context.WithoutCancel(ctx)
	_, shutdownErr := tasks.Shutdown(ctx) // delivers the events that are left; the error names those that it cancelled
	if stats := tasks.Stats(); stats.Completed < stats.Created {
		shutdownErr = errors.Join(shutdownErr, fmt.Errorf("not all events were delivered: %+v", stats))
	}
	return published(spans), errors.Join(err, shutdownErr, tp.Shutdown(ctx))
}

// publish does not wait, and has no error to handle: a failed publish is a failed task.
func (a *agent) publish(ctx context.Context, kind publisher.Kind, what publisher.Type, node string) {
	a.events.Go(ctx, publisher.Event{Kind: kind, Type: what, NodeName: node, ThreadID: "thread-1"})
}

// subscribe handles each event until the agent's last one, in a span that links to the task that
// published it.
func subscribe(ctx context.Context, b *broker, out io.Writer) error {
	tp := sdktrace.NewTracerProvider() // a service has an exporter
	defer func() { _ = tp.Shutdown(context.WithoutCancel(ctx)) }()
	tracer := tp.Tracer(scopeName)
	printTitle(out)
	return b.receive(ctx, func(e publisher.Event) (more bool) {
		_, span := tracer.Start(ctx, "handle "+string(e.Kind),
			trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithLinks(trace.Link{SpanContext: e.SpanContext()}))
		defer span.End()
		printEvent(out, e, span.SpanContext())
		return e.Kind != publisher.KindGraphExecution || e.Type != publisher.TypeEnd
	})
}
