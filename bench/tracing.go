package main

import (
	"context"
	"log/slog"
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
	unsampled = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(nowhere{}), sdktrace.WithSampler(sdktrace.NeverSample()))
	noTraces  = tracenoop.NewTracerProvider()
	meters    = sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	noMetrics = metricnoop.NewMeterProvider()
)

// nowhere is a span processor that drops everything: exporting is not what is measured.
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

// A receipt is what the three attributes of a task are made of, anew for each.
type receipt struct {
	thread      string
	attachments int
	template    string
}

var example = receipt{"t-1", 3, "thanks"}

// spanByHand is a go statement with a span written by hand: a root with a link to the spawner and three attributes.
func spanByHand(tp trace.TracerProvider) func() engine {
	return func() engine {
		tracer := tp.Tracer("service")
		return engine{starter: func(j job) starter {
			ctx, fn, wg, r := j.ctx, j.fn, j.wg, example
			return func(n int) {
				for range n {
					wg.Add(1)
					goWithSpan(ctx, tracer, r, wg, fn)
				}
			}
		}}
	}
}

func goWithSpan(ctx context.Context, tracer trace.Tracer, r receipt, wg *sync.WaitGroup, fn work) {
	link := trace.LinkFromContext(ctx)
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer wg.Done()
		ctx, span := tracer.Start(ctx, taskName,
			trace.WithNewRoot(),
			trace.WithLinks(link),
			trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithAttributes(
				attribute.String("thread_id", r.thread),
				attribute.Int("attachments", r.attachments),
				attribute.String("template", r.template),
			))
		defer span.End()
		if err := fn(ctx); err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
	}()
}

// oursTraced is a manager whose tasks have three attributes. mw nil is no middleware.
func oursTraced(mw core.Middleware) func() engine {
	return func() engine {
		var opts []core.Option
		if mw != nil {
			opts = append(opts, core.WithMiddleware(mw))
		}
		m := core.New(opts...)
		return engineOn(m, func(j job) starter {
			ctx, fn, wg, r := j.ctx, j.marked(), j.wg, example
			return func(n int) {
				for range n {
					wg.Add(1)
					m.Go(ctx, taskName, fn, core.WithAttrs(
						slog.String("thread_id", r.thread),
						slog.Int("attachments", r.attachments),
						slog.String("template", r.template),
					))
				}
			}
		})
	}
}

// traced is otelmw with these providers.
func traced(tp trace.TracerProvider, mp metric.MeterProvider, opts ...otelmw.Option) core.Middleware {
	return otelmw.New(append(opts, otelmw.WithTracerProvider(tp), otelmw.WithMeterProvider(mp))...)
}
