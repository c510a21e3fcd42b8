package linksampler_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/otelmw/linksampler"
)

// Of a hundred requests ten or so are sampled, and with each of them its task.
func ExampleNew() {
	traces := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(linksampler.New(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1)))))
	tasks := core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(traces))))

	var halves int
	for range 100 {
		ctx, request := traces.Tracer("server").Start(context.Background(), "request")
		_ = tasks.Go(ctx, "send_receipt", func(ctx context.Context) error {
			if trace.SpanContextFromContext(ctx).IsSampled() != request.SpanContext().IsSampled() {
				halves++
			}
			return nil
		}).Wait(ctx)
		request.End()
	}

	fmt.Println("pairs of which one half is missing:", halves)
	// Output:
	// pairs of which one half is missing: 0
}
