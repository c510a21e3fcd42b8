package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/publisher"
)

const scopeName = "github.com/afterspan/afterspan/examples/publish"

// agent answers nothing, but does it in three nodes.
type agent struct {
	tracer trace.Tracer
	events *publisher.Ordered
	thread string
	think  time.Duration
}

// runAgent runs the agent, and delivers its events. It returns the spans of the tasks that published them.
func runAgent(ctx context.Context, p publisher.Publisher, think time.Duration) (tracetest.SpanStubs, error) {
	spans := tracetest.NewInMemoryExporter() // in a service: OTLP, to Jaeger
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	tasks := core.New(
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp))),
		core.WithTaskDefaults(core.WithTimeout(10*time.Second)),
	)
	a := &agent{
		tracer: tp.Tracer(scopeName), events: publisher.NewOrdered(tasks, p), thread: "thread-1", think: think,
	}
	err := a.invoke(ctx)

	ctx = context.WithoutCancel(ctx)
	_, shutdownErr := tasks.Shutdown(ctx) // delivers the events; the error names those that it had to cancel
	if stats := tasks.Stats(); stats.Completed < stats.Created {
		shutdownErr = errors.Join(shutdownErr, fmt.Errorf("not all events were delivered: %+v", stats))
	}
	published := slices.DeleteFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name != "publish_event" })
	return published, errors.Join(err, shutdownErr, tp.Shutdown(ctx))
}

func (a *agent) invoke(ctx context.Context) error {
	ctx, span := a.tracer.Start(ctx, "invoke_agent")
	defer span.End()
	a.publish(ctx, publisher.KindGraphExecution, publisher.TypeStart, "", "")
	for _, node := range []string{"plan", "search", "answer"} {
		if err := a.node(ctx, node); err != nil {
			return err
		}
	}
	a.publish(ctx, publisher.KindGraphExecution, publisher.TypeEnd, "", "")
	return nil
}

func (a *agent) node(ctx context.Context, name string) error {
	ctx, span := a.tracer.Start(ctx, name)
	defer span.End()
	a.publish(ctx, publisher.KindNodeExecution, publisher.TypeStart, name, "")
	select {
	case <-time.After(a.think): // the model, which is made up
	case <-ctx.Done():
		return ctx.Err()
	}
	a.publish(ctx, publisher.KindNodeExecution, publisher.TypeResult, name, "done: "+name)
	return nil
}

// publish does not wait, and has no error to handle: a failed publish is a failed task.
func (a *agent) publish(ctx context.Context, kind publisher.Kind, what publisher.Type, node, content string) {
	a.events.Go(ctx, publisher.Event{Kind: kind, Type: what, NodeName: node, ThreadID: a.thread, Content: content})
}

func printTasks(out io.Writer, spans tracetest.SpanStubs) {
	fmt.Fprintln(out, "\nThe agent's process: the tasks that published, and the trace of the agent that each links to.")
	for _, s := range spans {
		fmt.Fprintf(out, "   %s  %s  ← trace %s\n", s.Name, where(s.SpanContext), short(s.Links[0].SpanContext.TraceID().String()))
	}
}

// where returns the short ids of a span.
func where(s trace.SpanContext) string {
	return fmt.Sprintf("trace %s span %s", short(s.TraceID().String()), short(s.SpanID().String()))
}

func short(id string) string { return id[:8] }
