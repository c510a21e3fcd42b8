package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/afterspan/afterspan/otelmw/linksampler"
)

const (
	scopeName   = "github.com/afterspan/afterspan/examples/jaeger"
	serviceName = "docs-agent"
	localJaeger = "http://localhost:4318"
)

// newTracerProvider returns a provider that exports to Jaeger. The sampler keeps a share of the agent's traces, and the
// tasks of those that it keeps: without linksampler it would draw lots again for each task.
func newTracerProvider(ctx context.Context, o options) (*sdktrace.TracerProvider, error) {
	exporter, err := otlptracehttp.New(ctx, endpoint(o)...)
	if err != nil {
		return nil, fmt.Errorf("making the exporter: %w", err)
	}
	res, err := resource.New(ctx,
		resource.WithHost(), resource.WithAttributes(semconv.ServiceName(serviceName), attribute.String("ip", hostIP())),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describing the service: %w", err)
	}
	return sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(linksampler.New(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.share)))),
		sdktrace.WithResource(res),
	), nil
}

// endpoint leaves it to the exporter to read its variables, unless there is a flag, or neither: its own default is https.
func endpoint(o options) []otlptracehttp.Option {
	fromEnv := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if o.endpoint == "" && fromEnv != "" {
		return nil
	}
	return []otlptracehttp.Option{otlptracehttp.WithEndpointURL(cmp.Or(o.endpoint, localJaeger) + "/v1/traces")}
}

// hostIP returns an address of this host. Jaeger's pages take spans with the same ip for those of one clock.
func hostIP() string {
	addrs, _ := net.InterfaceAddrs() // without any it is loopback
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}

// export sends the last spans. That nobody takes them, the SDK says on stderr: it is no failure of the program.
func export(ctx context.Context, tp *sdktrace.TracerProvider) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := tp.Shutdown(ctx); err != nil {
		return fmt.Errorf("exporting the last spans: %w", err)
	}
	return nil
}

// newLogger returns a logger for a terminal. A panic's stack, which has many lines, is to be seen in Jaeger.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == "stack" || a.Key == slog.TimeKey) {
				return slog.Attr{}
			}
			return a
		},
	}))
}
