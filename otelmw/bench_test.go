package otelmw_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// BenchmarkTask is what a task costs, from Go to its end, under a span that is sampled: with the middleware in each of
// its states, without it (none), and by hand with no manager at all: what people write who want a span and a link.
//
//	go test -run xxx -bench Task -benchmem ./otelmw
func BenchmarkTask(b *testing.B) {
	sampled := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(nowhere{}))
	unsampled := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	spawner := func(tp trace.TracerProvider) context.Context {
		ctx, _ := tp.Tracer("service").Start(context.Background(), "agent")
		return ctx
	}
	attrs := core.WithAttrs(slog.String("thread_id", "t-1"), slog.Int("attachments", 3))
	for _, bb := range []struct {
		name string
		ctx  context.Context
		mw   []otelmw.Option // nil: no middleware
	}{
		{"none", spawner(sampled), nil},
		{"noop", spawner(sampled), []otelmw.Option{noTraces, noMetrics}},
		{"filtered", spawner(sampled), []otelmw.Option{otelmw.WithTracerProvider(sampled), noMetrics, filtered}},
		{"unsampled", spawner(unsampled), []otelmw.Option{otelmw.WithTracerProvider(unsampled), noMetrics}},
		{"sampled", spawner(sampled), []otelmw.Option{otelmw.WithTracerProvider(sampled), noMetrics}},
		{
			"sampled-without-spawn-span", spawner(sampled),
			[]otelmw.Option{otelmw.WithTracerProvider(sampled), noMetrics, otelmw.WithoutSpawnSpan()},
		},
		{"metrics", spawner(sampled), []otelmw.Option{noTraces, otelmw.WithMeterProvider(meters)}},
		{
			"sampled-and-metrics", spawner(sampled),
			[]otelmw.Option{otelmw.WithTracerProvider(sampled), otelmw.WithMeterProvider(meters)},
		},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var opts []core.Option
			if bb.mw != nil {
				opts = append(opts, core.WithMiddleware(otelmw.New(bb.mw...)))
			}
			m := newManager(opts...)
			inBatches(b, func() { m.Go(bb.ctx, "job", succeed, attrs) }, func() { _ = m.Wait(bb.ctx) })
		})
	}
	b.Run("by-hand", func(b *testing.B) {
		tracer, ctx := sampled.Tracer("service"), spawner(sampled)
		var wg sync.WaitGroup
		inBatches(b, func() {
			link := trace.LinkFromContext(ctx)
			ctx := context.WithoutCancel(ctx)
			wg.Go(func() {
				ctx, span := tracer.Start(ctx, "job", trace.WithNewRoot(), trace.WithLinks(link),
					trace.WithSpanKind(trace.SpanKindConsumer))
				defer span.End()
				if err := succeed(ctx); err != nil {
					span.SetStatus(codes.Error, err.Error())
				}
			})
		}, wg.Wait)
	})
	b.Run("goroutine", func(b *testing.B) {
		var wg sync.WaitGroup
		inBatches(b, func() { wg.Go(func() { _ = succeed(context.Background()) }) }, wg.Wait)
	})
}

// inBatches keeps the number of goroutines as small as in a service that is not overloaded.
func inBatches(b *testing.B, one, wait func()) {
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		one()
		if n++; n%256 == 0 {
			wait()
		}
	}
	wait()
}

// nowhere is a span processor that drops everything: exporting is not what is measured.
type nowhere struct{}

func (nowhere) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nowhere) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nowhere) Shutdown(context.Context) error                  { return nil }
func (nowhere) ForceFlush(context.Context) error                { return nil }
