package main

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

var (
	sampled   = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(nowhere{}))
	unsampled = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(nowhere{}), sdktrace.WithSampler(sdktrace.NeverSample()))
	noTraces  = tracenoop.NewTracerProvider()
	meters    = sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	noMetrics = metricnoop.NewMeterProvider()
)

// nowhere is a span processor that drops every span: the export is not measured.
type nowhere struct{}

func (nowhere) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nowhere) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nowhere) Shutdown(context.Context) error                  { return nil }
func (nowhere) ForceFlush(context.Context) error                { return nil }

// spawner returns a context with a span that has not ended.
func spawner(tp trace.TracerProvider) context.Context {
	ctx, _ := tp.Tracer("service").Start(context.Background(), "agent")
	return ctx
}

// example has the values of the three attributes, which are made anew for each task.
var example = struct {
	thread      string
	attachments int
	template    string
}{"t-1", 3, "thanks"}

// spanByHand is a go statement with a span around the task.
func spanByHand(tp trace.TracerProvider) func() engine {
	return func() engine {
		tracer := tp.Tracer("service")
		return engine{starter: func(j job) func() {
			ctx, fn, wg := j.ctx, j.fn, j.wg
			return func() { goWithSpan(ctx, tracer, wg, fn) }
		}}
	}
}

// goWithSpan runs fn within a root span that has a link to the spawner and three attributes.
func goWithSpan(ctx context.Context, tracer trace.Tracer, wg *sync.WaitGroup, fn work) {
	link := trace.LinkFromContext(ctx)
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer wg.Done()
		ctx, span := tracer.Start(ctx, taskName,
			trace.WithNewRoot(),
			trace.WithLinks(link),
			trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(
				attribute.String("thread_id", example.thread),
				attribute.Int("attachments", example.attachments),
				attribute.String("template", example.template),
			))
		defer span.End()
		if err := fn(ctx); err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
	}()
}

// traced returns a manager with otelmw, whose tasks have the three attributes.
func traced(tp trace.TracerProvider, mp metric.MeterProvider, opts ...otelmw.Option) func() engine {
	opts = append(opts, otelmw.WithTracerProvider(tp), otelmw.WithMeterProvider(mp))
	return ours(withAttrs, core.WithMiddleware(otelmw.New(opts...)))
}

func never(context.Context, *core.Task) bool { return false }
