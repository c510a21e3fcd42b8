package otelmw_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// TraceID is the trace of the task's own span: while it runs, and when it has ended.
func TestTraceID(t *testing.T) {
	sampled := sdktrace.NewTracerProvider()
	never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	for name, tc := range map[string]struct {
		opts  []otelmw.Option
		has   bool
		isOwn bool // not that of the request
	}{
		"a link":        {[]otelmw.Option{otelmw.WithTracerProvider(sampled)}, true, true},
		"a child":       {[]otelmw.Option{otelmw.WithTracerProvider(sampled), otelmw.WithRelation(otelmw.Child)}, true, false},
		"no relation":   {[]otelmw.Option{otelmw.WithTracerProvider(sampled), otelmw.WithRelation(otelmw.None)}, true, true},
		"not sampled":   {[]otelmw.Option{otelmw.WithTracerProvider(never)}, false, false},
		"without spans": {[]otelmw.Option{otelmw.WithTracerProvider(noop.NewTracerProvider())}, false, false},
		"filtered": {[]otelmw.Option{
			otelmw.WithTracerProvider(sampled),
			otelmw.WithFilter(func(context.Context, *core.Task) bool { return false }),
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var running, ended, foreign string
			var own trace.SpanContext
			look := core.Middleware{
				Wrap: func(next core.Handler) core.Handler {
					return func(ctx context.Context, task *core.Task) error {
						running, own = otelmw.TraceID(ctx, task), trace.SpanContextFromContext(ctx)
						foreign = otelmw.TraceID(ctx, core.NewTask("another"))
						return next(ctx, task)
					}
				},
				Ended: func(ctx context.Context, task *core.Task) { ended = otelmw.TraceID(ctx, task) },
			}
			m := core.New(core.WithMiddleware(otelmw.New(tc.opts...), look), core.WithLogger(slog.New(slog.DiscardHandler)))
			ctx, request := sampled.Tracer("test").Start(t.Context(), "request")
			<-m.Go(ctx, "x", func(context.Context) error { return nil }).Done()
			require.Equal(t, running, ended)
			require.Empty(t, foreign)
			if !tc.has {
				require.Empty(t, running)
				return
			}
			require.Equal(t, own.TraceID().String(), running)
			require.Equal(t, tc.isOwn, running != request.SpanContext().TraceID().String())
		})
	}
	require.Empty(t, otelmw.TraceID(t.Context(), core.NewTask("of no manager")))
}

// A task that was cancelled in the queue has no span of its own. The current one is its spawner's.
func TestTraceIDOfATaskWithoutARun(t *testing.T) {
	tel := newTelemetry(t)
	ended := map[string]string{}
	m := newManager(core.WithLimit(1, 1), core.WithMiddleware(tel.middleware(), core.Middleware{
		Ended: func(ctx context.Context, task *core.Task) { ended[task.Name()] = otelmw.TraceID(ctx, task) },
	}))
	ctx, agent := tel.start("agent")
	defer agent.End()
	release := make(chan struct{})
	running := m.Go(ctx, "running", until(release))
	queued := m.Go(ctx, "queued", succeed)
	queued.Cancel()
	require.ErrorIs(t, queued.Wait(t.Context()), core.ErrCancelled)
	close(release)
	require.NoError(t, running.Wait(t.Context()))
	require.Empty(t, ended["queued"])
	require.NotEmpty(t, ended["running"])
}
