package otelmw_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// printer is a TracerProvider for the examples: it prints spans in words.
type printer struct {
	*sdktrace.TracerProvider
	spans *tracetest.SpanRecorder
}

func newPrinter() printer {
	spans := tracetest.NewSpanRecorder()
	return printer{sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), spans}
}

// print prints the spans in the order in which they were started, and the attributes of those keys.
func (p printer) print(keys ...attribute.Key) {
	names := map[trace.SpanID]string{}
	for _, s := range p.spans.Started() {
		names[s.SpanContext().SpanID()] = s.Name()
	}
	for _, s := range p.spans.Started() {
		words := []string{"root"}
		if s.Parent().IsValid() {
			words[0] = "child of " + names[s.Parent().SpanID()]
		}
		for _, l := range s.Links() {
			words = append(words, "linked to "+names[l.SpanContext.SpanID()])
		}
		fmt.Printf("%s (%s): %s\n", s.Name(), s.SpanKind(), strings.Join(words, ", "))
		for _, kv := range s.Attributes() {
			for _, key := range keys {
				if kv.Key == key {
					fmt.Printf("  %s = %s\n", kv.Key, kv.Value.String())
				}
			}
		}
		for _, e := range s.Events() {
			attrs := attribute.NewSet(e.Attributes...)
			fmt.Printf("  event %s: %s\n", e.Name, attrs.Encoded(attribute.DefaultEncoder()))
		}
		if s.Status().Description != "" {
			fmt.Printf("  %s: %s\n", s.Status().Code, s.Status().Description)
		}
	}
}

// A task goes on after the span that started it has ended, and stays linked to it.
func Example() {
	traces := newPrinter() // in a service: sdktrace.NewTracerProvider and an exporter

	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces))))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error {
		_, query := traces.Tracer("mail").Start(ctx, "smtp")
		defer query.End()
		return nil
	}, core.WithAttrs(slog.String("thread_id", "t-1")))
	span.End()

	// The manager's shutdown comes before the provider's, or the last spans are lost.
	_, _ = tasks.Shutdown(context.Background())
	traces.print("thread_id", "afterspan.task.outcome")
	_ = traces.Shutdown(context.Background())

	// Output:
	// answer (internal): root
	// spawn send_receipt (producer): child of answer, linked to send_receipt
	//   afterspan.task.outcome = completed
	// send_receipt (consumer): root, linked to spawn send_receipt
	//   afterspan.task.outcome = completed
	//   thread_id = t-1
	// smtp (internal): child of send_receipt
}

// A task that failed is an error in the trace of the request that started it, too.
func Example_failure() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces))))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	tasks.Go(ctx, "send_receipt", func(context.Context) error {
		return fmt.Errorf("mailbox of %s is full", "ada")
	})
	span.End()

	_ = tasks.Wait(context.Background())
	traces.print("afterspan.task.outcome")
	// Output:
	// answer (internal): root
	// spawn send_receipt (producer): child of answer, linked to send_receipt
	//   afterspan.task.outcome = failed
	//   Error: mailbox of ada is full
	// send_receipt (consumer): root, linked to spawn send_receipt
	//   afterspan.task.outcome = failed
	//   Error: mailbox of ada is full
}

// A task that the manager refused is an event on the span that wanted it.
func Example_refusal() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces))))
	_ = tasks.Close()

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	tasks.Go(ctx, "send_receipt", func(context.Context) error { return nil })
	span.End()

	traces.print()
	// Output:
	// answer (internal): root
	//   event task refused: afterspan.refusal.reason=closed,afterspan.task.name=send_receipt
}

// A task that does not stop is in the traces as well: the shutdown ends its spans.
func Example_abandoned() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces))),
		core.WithShutdownTimeout(200*time.Millisecond))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	stuck := make(chan struct{})
	defer close(stuck)
	tasks.Go(ctx, "send_receipt", func(context.Context) error { <-stuck; return nil })
	span.End()

	_, _ = tasks.Shutdown(context.Background())
	traces.print("afterspan.task.outcome")
	// Output:
	// answer (internal): root
	// spawn send_receipt (producer): child of answer, linked to send_receipt
	//   afterspan.task.outcome = abandoned
	//   Error: the task was still running at the end of the shutdown
	// send_receipt (consumer): root, linked to spawn send_receipt
	//   afterspan.task.outcome = abandoned
	//   Error: the task was still running at the end of the shutdown
}

// With nothing to link to, a task's span is a plain root.
func ExampleNew() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces))))

	tasks.Go(context.Background(), "send_receipt", func(context.Context) error {
		return fmt.Errorf("mailbox of %s is full", "ada")
	})

	_ = tasks.Wait(context.Background())
	traces.print("afterspan.task.outcome")
	// Output:
	// send_receipt (consumer): root
	//   afterspan.task.outcome = failed
	//   Error: mailbox of ada is full
}

// Outside of the middleware a retry makes each attempt a span of its own.
func ExampleNew_retry() {
	traces := newPrinter()
	twice := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			if next(ctx, t) == nil {
				return nil
			}
			return next(ctx, t)
		}
	})
	tasks := core.New(core.WithMiddleware(twice, otelmw.New(otelmw.WithTracerProvider(traces))))

	calls := 0
	tasks.Go(context.Background(), "send_receipt", func(context.Context) error {
		if calls++; calls == 1 {
			return fmt.Errorf("greylisted")
		}
		return nil
	})

	_ = tasks.Wait(context.Background())
	traces.print("afterspan.task.attempt", "afterspan.task.outcome")
	// Output:
	// send_receipt (consumer): root
	//   afterspan.task.outcome = failed
	//   Error: greylisted
	// send_receipt (consumer): root
	//   afterspan.task.outcome = completed
	//   afterspan.task.attempt = 2
}

// Link is the default: a trace of its own for the task, and a way from each to the other.
func ExampleWithRelation_link() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(traces), otelmw.WithRelation(otelmw.Link))))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	tasks.Go(ctx, "send_receipt", func(context.Context) error { return nil })
	span.End()

	_ = tasks.Wait(context.Background())
	traces.print()
	// Output:
	// answer (internal): root
	// spawn send_receipt (producer): child of answer, linked to send_receipt
	// send_receipt (consumer): root, linked to spawn send_receipt
}

// Child is for work that somebody waits for.
func ExampleWithRelation_child() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(traces), otelmw.WithRelation(otelmw.Child))))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	tasks.Go(ctx, "search", func(context.Context) error { return nil })
	_ = tasks.Wait(ctx)
	span.End()

	traces.print()
	// Output:
	// answer (internal): root
	// search (consumer): child of answer
}

// None is for work that has nothing to do with what happened to start it.
func ExampleWithRelation_none() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(traces), otelmw.WithRelation(otelmw.None))))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	tasks.Go(ctx, "warm_cache", func(context.Context) error { return nil })
	span.End()

	_ = tasks.Wait(context.Background())
	traces.print()
	// Output:
	// answer (internal): root
	// warm_cache (consumer): root
}

func ExampleWithRelationFunc() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces),
		otelmw.WithRelationFunc(func(_ context.Context, t *core.Task) otelmw.Relation {
			if t.Name() == "search" {
				return otelmw.Child
			}
			return otelmw.Link
		}))))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	for _, name := range []string{"search", "send_receipt"} {
		_ = tasks.Go(ctx, name, func(context.Context) error { return nil }).Wait(ctx)
	}
	span.End()

	traces.print()
	// Output:
	// answer (internal): root
	// search (consumer): child of answer
	// spawn send_receipt (producer): child of answer, linked to send_receipt
	// send_receipt (consumer): root, linked to spawn send_receipt
}

// Without a hold the spawner's trace is complete as soon as the task starts, and tells no outcome. For
// exporters that wait until all spans of a trace have ended.
func ExampleWithSpawnSpanHold() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(traces), otelmw.WithSpawnSpanHold(0))))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	tasks.Go(ctx, "send_receipt", func(context.Context) error { return errors.New("mailbox full") })
	span.End()

	_ = tasks.Wait(context.Background())
	traces.print("afterspan.task.outcome")
	// Output:
	// answer (internal): root
	// spawn send_receipt (producer): child of answer, linked to send_receipt
	//   afterspan.task.outcome = pending
	// send_receipt (consumer): root, linked to spawn send_receipt
	//   afterspan.task.outcome = failed
	//   Error: mailbox full
}

func ExampleWithoutSpawnSpan() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(traces), otelmw.WithoutSpawnSpan())))

	ctx, span := traces.Tracer("agent").Start(context.Background(), "answer")
	tasks.Go(ctx, "send_receipt", func(context.Context) error { return nil })
	span.End()

	_ = tasks.Wait(context.Background())
	traces.print()
	// Output:
	// answer (internal): root
	// send_receipt (consumer): root, linked to answer
}
