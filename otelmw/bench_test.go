package otelmw_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// BenchmarkTask is what a task costs, from Go to its end, under a span that is sampled: with the middleware in each of
// its states, without it (none), and by hand with no manager at all: what people write who want a span, a link and
// the task's attributes.
//
//	go test -run xxx -bench Task$ -benchmem ./otelmw
func BenchmarkTask(b *testing.B) {
	sampled, unsampled := samplesAll(), samplesNone()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	traces, metrics := otelmw.WithTracerProvider(sampled), otelmw.WithMeterProvider(meters)
	for _, bb := range []struct {
		name string
		way  way
	}{
		{"none", inManager(sampled)},
		{"noop", inManager(sampled, noTraces, noMetrics)},
		{"filtered", inManager(sampled, traces, noMetrics, filtered)},
		{"unsampled", inManager(unsampled, otelmw.WithTracerProvider(unsampled), noMetrics)},
		{"sampled", inManager(sampled, traces, noMetrics)},
		{"sampled-without-spawn-span", inManager(sampled, traces, noMetrics, otelmw.WithoutSpawnSpan())},
		{"metrics", inManager(sampled, noTraces, metrics)},
		{"sampled-and-metrics", inManager(sampled, traces, metrics)},
		{"by-hand", byHand(sampled)},
		{"by-hand-unsampled", byHand(unsampled)},
		{"in-full", inFull(sampled, true)},
		{"goroutine", bare()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for left := b.N; left > 0; left -= batch {
				bb.way.run(min(left, batch))
			}
		})
	}
}

// batch is how many tasks are started, and waited for, at a time: as many as in a service that is not overloaded.
const batch = 256

// A way is one of running something in the background.
type way struct{ start, wait func() }

func (w way) run(n int) {
	for range n {
		w.start()
	}
	w.wait()
}

// inManager is ours: with the middleware, if it is given any options.
func inManager(spawner trace.TracerProvider, opts ...otelmw.Option) way {
	var with []core.Option
	if len(opts) > 0 {
		with = append(with, core.WithMiddleware(otelmw.New(opts...)))
	}
	m, ctx := newManager(with...), underASpan(spawner)
	attrs := core.WithAttrs(slog.String("thread_id", "t-1"), slog.Int("attachments", 3), slog.Bool("retry", true))
	return way{func() { m.Go(ctx, "job", succeed, attrs) }, func() { _ = m.Wait(ctx) }}
}

// byHand is the rival.
func byHand(tp trace.TracerProvider) way {
	tracer, ctx := tp.Tracer("service"), underASpan(tp)
	var wg sync.WaitGroup
	start := func() {
		link := trace.LinkFromContext(ctx)
		ctx := context.WithoutCancel(ctx)
		wg.Go(func() {
			ctx, span := tracer.Start(ctx, "job", trace.WithNewRoot(), trace.WithLinks(link),
				trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
					attribute.String("thread_id", "t-1"), attribute.Int("attachments", 3), attribute.Bool("retry", true)))
			defer span.End()
			if err := succeed(ctx); err != nil {
				span.SetStatus(codes.Error, err.Error())
			}
		})
	}
	return way{start, wg.Wait}
}

// inFull is by hand, too, with all that the middleware writes down of a task that completes: it shows
// how much of the cost is the SDK's.
func inFull(tp trace.TracerProvider, bothSpans bool) way {
	tracer, ctx := tp.Tracer("service"), underASpan(tp)
	var wg sync.WaitGroup
	run := func(ctx context.Context, spawn trace.Span, endsAt time.Time) error {
		sc := trace.SpanContextFromContext(ctx)
		ctx, span := tracer.Start(ctx, "job", trace.WithNewRoot(),
			trace.WithLinks(trace.Link{SpanContext: sc, Attributes: []attribute.KeyValue{attribute.String("afterspan.link.kind", "spawner")}}),
			trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
				attribute.String("afterspan.task.name", "job"), attribute.Int("afterspan.task.id", 1),
				attribute.Float64("afterspan.task.queue_time", 0.1), attribute.String("afterspan.task.outcome", "pending"),
				attribute.String("afterspan.spawner.trace_id", sc.TraceID().String()),
				attribute.String("afterspan.spawner.span_id", sc.SpanID().String()),
				attribute.String("afterspan.origin.trace_id", sc.TraceID().String()),
				attribute.String("thread_id", "t-1"), attribute.Int("attachments", 3), attribute.Bool("retry", true)))
		defer span.End()
		err := succeed(ctx)
		span.SetAttributes(attribute.String("afterspan.task.outcome", "completed"))
		if spawn != nil {
			spawn.AddLink(trace.Link{
				SpanContext: span.SpanContext(), Attributes: []attribute.KeyValue{attribute.String("afterspan.link.kind", "task")},
			})
			spawn.SetAttributes(attribute.String("afterspan.task.outcome", "completed"))
			spawn.End(trace.WithTimestamp(endsAt))
		}
		return err
	}
	start := func() {
		ctx := context.WithoutCancel(ctx)
		var spawn trace.Span
		if bothSpans {
			_, spawn = tracer.Start(ctx, "spawn job", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
				attribute.String("afterspan.task.name", "job"), attribute.Int("afterspan.task.id", 1),
				attribute.String("afterspan.task.outcome", "pending")))
		}
		endsAt := time.Now()
		wg.Go(func() { _ = run(ctx, spawn, endsAt) })
	}
	return way{start, wg.Wait}
}

// bare is the floor.
func bare() way {
	var wg sync.WaitGroup
	return way{func() { wg.Go(func() { _ = succeed(context.Background()) }) }, wg.Wait}
}

func underASpan(tp trace.TracerProvider) context.Context {
	ctx, _ := tp.Tracer("service").Start(context.Background(), "agent")
	return ctx
}

func samplesAll() *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(nowhere{}))
}

func samplesNone() *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()), sdktrace.WithSpanProcessor(nowhere{}))
}

// nowhere is a span processor that drops everything: exporting is not what is measured.
type nowhere struct{}

func (nowhere) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nowhere) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nowhere) Shutdown(context.Context) error                  { return nil }
func (nowhere) ForceFlush(context.Context) error                { return nil }
