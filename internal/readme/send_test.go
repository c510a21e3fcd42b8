package readme

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// By hand or not, the span of the task is a root that links to the one that spawned it.
func TestReceiptIsLinked(t *testing.T) {
	byHand := func(ctx context.Context) {
		sendReceiptByHand(ctx)
		inFlight.Wait()
	}
	withAfterspan := func(ctx context.Context) {
		sendReceipt(ctx)
		require.NoError(t, tasks.Wait(ctx))
	}
	for name, send := range map[string]func(context.Context){"by hand": byHand, "with afterspan": withAfterspan} {
		t.Run(name, func(t *testing.T) {
			exporter := tracetest.NewInMemoryExporter()
			tp := provider(exporter)
			tracer = tp.Tracer("readme")
			tasks = core.New(core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp))))

			// One of ten is sampled, and its task with it.
			for range 200 {
				ctx, request := tracer.Start(t.Context(), "request")
				send(ctx)
				request.End()
			}
			require.NoError(t, tp.ForceFlush(t.Context()))
			spans := exporter.GetSpans()
			requests, receipts := named(spans, "request"), named(spans, "send_receipt")
			require.NotEmpty(t, requests)
			require.Len(t, receipts, len(requests))
			for _, receipt := range receipts {
				require.False(t, receipt.Parent.IsValid())
				require.Len(t, receipt.Links, 1)
			}
		})
	}
}

func named(spans tracetest.SpanStubs, name string) (found tracetest.SpanStubs) {
	for _, s := range spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func TestServeReportsWhatFailed(t *testing.T) {
	tp := provider(tracetest.NewInMemoryExporter())
	require.ErrorAs(t, serve(&http.Server{Addr: "127.0.0.1:-1"}, core.New(), tp), new(*net.OpError))
}
