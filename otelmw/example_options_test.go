package otelmw_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// A group's members get its name before their own, and a value that redacts itself stays redacted.
func ExampleWithReplaceAttr() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces),
		otelmw.WithReplaceAttr(func(a slog.Attr) slog.Attr {
			switch a.Key {
			case "thread_id": // what the conventions call it
				a.Key = "gen_ai.conversation.id"
			case "user.email": // not for traces
				return slog.Attr{}
			}
			return a
		}))))

	tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return nil }, core.WithAttrs(
		slog.String("thread_id", "t-1"), slog.Group("user", "id", 7, "email", "ada@example.com")))

	_ = tasks.Wait(context.Background())
	traces.print("thread_id", "gen_ai.conversation.id", "user.id", "user.email")
	// Output:
	// send_receipt (consumer): root
	//   gen_ai.conversation.id = t-1
	//   user.id = 7
}

func ExampleWithFilter() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces),
		otelmw.WithFilter(func(_ context.Context, t *core.Task) bool { return t.Name() != "heartbeat" }))))

	for _, name := range []string{"heartbeat", "send_receipt"} {
		tasks.Go(context.Background(), name, func(context.Context) error { return nil })
	}

	_ = tasks.Wait(context.Background())
	traces.print()
	// Output:
	// send_receipt (consumer): root
}

// Some errors tell more than traces may know.
func ExampleWithErrorDescription() {
	traces := newPrinter()
	errFull := errors.New("mailbox full")
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces),
		otelmw.WithErrorDescription(func(err error) string {
			if errors.Is(err, errFull) {
				return errFull.Error()
			}
			return "see the log"
		}))))

	for _, err := range []error{fmt.Errorf("ada@example.com: %w", errFull), errors.New("password hunter2 is wrong")} {
		_ = tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return err }).Wait(context.Background())
	}

	traces.print()
	// Output:
	// send_receipt (consumer): root
	//   Error: mailbox full
	// send_receipt (consumer): root
	//   Error: see the log
}

// What the task says of itself goes before what the service says of all its tasks.
func ExampleWithAttributes() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces),
		otelmw.WithAttributes(attribute.String("region", "eu"), attribute.String("tier", "free")),
		otelmw.WithAttributesFunc(func(_ context.Context, t *core.Task) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.Bool("mail", strings.HasPrefix(t.Name(), "send_"))}
		}))))

	tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return nil },
		core.WithAttrs(slog.String("tier", "gold")))

	_ = tasks.Wait(context.Background())
	traces.print("region", "tier", "mail")
	// Output:
	// send_receipt (consumer): root
	//   tier = gold
	//   mail = true
	//   region = eu
}

// Baggage comes with a request, maybe from another company. Only what is named gets into spans.
func ExampleWithBaggageKeys() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(traces), otelmw.WithBaggageKeys("tenant"))))

	bag, _ := baggage.Parse("tenant=acme,session=s-9")
	tasks.Go(baggage.ContextWithBaggage(context.Background(), bag), "send_receipt",
		func(context.Context) error { return nil })

	_ = tasks.Wait(context.Background())
	traces.print("tenant", "session")
	// Output:
	// send_receipt (consumer): root
	//   tenant = acme
}

func ExampleWithSpanNameFormatter() {
	traces := newPrinter()
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces),
		otelmw.WithSpanNameFormatter(func(_ context.Context, t *core.Task) string { return "task " + t.Name() }),
		otelmw.WithSpanStartOptions(trace.WithSpanKind(trace.SpanKindInternal)))))

	tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return nil })

	_ = tasks.Wait(context.Background())
	traces.print()
	// Output:
	// task send_receipt (internal): root
}

// printMetrics prints what the SDK would export now: sums, and how many values a histogram has.
func printMetrics(reader *sdkmetric.ManualReader) {
	var rm metricdata.ResourceMetrics
	_ = reader.Collect(context.Background(), &rm)
	var lines []string
	add := func(name string, attrs attribute.Set, value any) {
		lines = append(lines, fmt.Sprintf("%s {%s} %v", name, attrs.Encoded(attribute.DefaultEncoder()), value))
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(m.Name, p.Attributes, p.Count)
				}
			}
		}
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
}

// Each value is a time series of its own: a plan is one of three, a user would be one of millions.
func ExampleWithMetricAttributesFunc() {
	reader := sdkmetric.NewManualReader()
	tasks := core.New(core.WithMiddleware(otelmw.New(
		otelmw.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))),
		otelmw.WithTracerProvider(newPrinter()),
		otelmw.WithMetricAttributesFunc(func(_ context.Context, t *core.Task) []attribute.KeyValue {
			for _, a := range t.Attrs() {
				if a.Key == "plan" {
					return []attribute.KeyValue{attribute.String("plan", a.Value.String())}
				}
			}
			return nil
		}))))

	tasks.Go(context.Background(), "send_receipt", func(context.Context) error { return nil },
		core.WithAttrs(slog.String("plan", "gold"), slog.String("user", "ada")))

	_ = tasks.Wait(context.Background())
	printMetrics(reader)
	// Output:
	// afterspan.task.active {afterspan.task.name=send_receipt} 0
	// afterspan.task.duration {afterspan.task.name=send_receipt,afterspan.task.outcome=completed,plan=gold} 1
	// afterspan.task.queue.duration {afterspan.task.name=send_receipt,plan=gold} 1
}

func ExampleObserveManager() {
	reader := sdkmetric.NewManualReader()
	tasks := core.New(core.WithLimit(1, 1))
	registration, err := otelmw.ObserveManager(tasks, "mail",
		otelmw.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	if err != nil {
		panic(err)
	}

	release := make(chan struct{})
	for range 2 { // one runs, one waits
		tasks.Go(context.Background(), "send_receipt", func(context.Context) error { <-release; return nil })
	}
	printMetrics(reader)
	close(release)

	_, _ = tasks.Shutdown(context.Background())
	_ = registration.Unregister() // lets go of the manager
	// Output:
	// afterspan.manager.tasks {afterspan.manager.name=mail,afterspan.task.state=overdue} 0
	// afterspan.manager.tasks {afterspan.manager.name=mail,afterspan.task.state=queued} 1
	// afterspan.manager.tasks {afterspan.manager.name=mail,afterspan.task.state=running} 1
}
