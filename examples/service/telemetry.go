package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/afterspan/afterspan/otelmw/linksampler"
)

// telemetry is where spans, metrics and logs go.
type telemetry struct {
	traces     *sdktrace.TracerProvider
	metrics    *sdkmetric.MeterProvider
	logs       *sdklog.LoggerProvider
	registry   *prometheus.Registry
	propagator propagation.TextMapPropagator
	logger     *slog.Logger
	stdout     *slog.Logger // for what is wrong with the telemetry itself, which it may be unable to send
}

func newTelemetry(ctx context.Context, sample float64, stdout io.Writer) (*telemetry, error) {
	res, err := newResource(ctx)
	if err != nil {
		return nil, err
	}
	tel := &telemetry{
		registry:   prometheus.NewRegistry(),
		propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	if tel.traces, err = newTraces(ctx, res, sample); err != nil {
		return nil, err
	}
	if tel.logs, err = newLogs(ctx, res); err != nil {
		return nil, err
	}
	if tel.metrics, err = newMetrics(res, tel.registry); err != nil {
		return nil, err
	}
	lines := newLines(stdout)
	tel.stdout, tel.logger = slog.New(lines), newLogger(lines, tel.logs)
	return tel, nil
}

// newResource says what service this is. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES change it.
func newResource(ctx context.Context) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithSchemaURL(semconv.SchemaURL),
		resource.WithAttributes(semconv.ServiceName("orders")),
		resource.WithFromEnv(),
	)
}

// newTraces returns a provider that exports in batches: what its Shutdown does not flush is lost.
func newTraces(ctx context.Context, res *resource.Resource, sample float64) (*sdktrace.TracerProvider, error) {
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res),
		// A task is sampled if what spawned it is: else a share of 10 % would have 1 % of the pairs.
		sdktrace.WithSampler(linksampler.New(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(sample)))),
	}
	if hasCollector("TRACES") {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, err
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	}
	return sdktrace.NewTracerProvider(options...), nil
}

func newLogs(ctx context.Context, res *resource.Resource) (*sdklog.LoggerProvider, error) {
	options := []sdklog.LoggerProviderOption{sdklog.WithResource(res)}
	if hasCollector("LOGS") {
		exporter, err := otlploghttp.New(ctx)
		if err != nil {
			return nil, err
		}
		options = append(options, sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	}
	return sdklog.NewLoggerProvider(options...), nil
}

// newMetrics returns a provider whose metrics registry collects when it is scraped, with those of the Go runtime.
func newMetrics(res *resource.Resource, registry *prometheus.Registry) (*sdkmetric.MeterProvider, error) {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	metrics := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(res))
	return metrics, runtime.Start(runtime.WithMeterProvider(metrics))
}

// hasCollector reports whether the environment says where a signal goes. The exporters would else try localhost, and complain.
func hasCollector(signal string) bool {
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

// setGlobals is for what takes no provider: other libraries, and what the SDK itself has to complain of.
func (t *telemetry) setGlobals() {
	slog.SetDefault(t.logger)
	otel.SetTracerProvider(t.traces)
	otel.SetMeterProvider(t.metrics)
	otel.SetTextMapPropagator(t.propagator)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.stdout.Warn("telemetry", "error", err) }))
}

// shutdown lets the last spans and logs leave. All at the same time: each has all of ctx.
func (t *telemetry) shutdown(ctx context.Context) error {
	parts := []func(context.Context) error{t.traces.Shutdown, t.logs.Shutdown, t.metrics.Shutdown}
	errs := make(chan error, len(parts))
	for _, shutdown := range parts {
		go func() { errs <- shutdown(ctx) }()
	}
	var err error
	for range parts {
		err = errors.Join(err, <-errs)
	}
	return err
}
