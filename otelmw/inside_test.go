package otelmw_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// What a task sees.

// The current span in a task is the task's own: what is called in there continues it.
func TestSpansInATaskAreChildrenOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", func(ctx context.Context) error {
			assert.True(t, trace.SpanFromContext(ctx).IsRecording())
			_, query := tel.startIn(ctx, "query")
			query.End()
			return nil
		})
		agent.End()
		tel.wait(t, m)
		assert.Equal(t, tel.span(t, "job").SpanContext(), tel.span(t, "query").Parent())
	})
}

// A middleware further in sees the task's span as well, and can add to it.
func TestMiddlewareInsideSeesTheTasksSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		inside := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			trace.SpanFromContext(ctx).AddEvent("rate limit passed")
			return next(ctx, task)
		})
		m := newManager(core.WithMiddleware(tel.middleware(), inside))
		m.Go(context.Background(), "job", succeed)
		tel.wait(t, m)
		require.Len(t, tel.span(t, "job").Events(), 1)
	})
}

// traceHandler adds trace ids to lines, as bridges for slog do.
type traceHandler struct{ slog.Handler }

func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	sc := trace.SpanContextFromContext(ctx)
	r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	return h.Handler.Handle(ctx, r)
}

// The manager's line about the end of a task leads to the task's trace, that about its creation to the spawner's.
func TestLinesOfTheManagerHaveTheTasksTraceID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		var log bytes.Buffer
		m := core.New(core.WithMiddleware(tel.middleware()), core.WithLogger(slog.New(traceHandler{
			slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}),
		})))
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", func(context.Context) error { panic("boom") })
		agent.End()
		tel.wait(t, m)
		want := map[string]trace.SpanContext{
			"background task created": agent.SpanContext(),
			"background task failed":  tel.span(t, "job").SpanContext(),
		}
		for text := range bytes.Lines(log.Bytes()) {
			var line struct {
				Msg     string
				TraceID string `json:"trace_id"`
				SpanID  string `json:"span_id"`
			}
			require.NoError(t, json.Unmarshal(text, &line))
			require.Contains(t, want, line.Msg)
			assert.Equal(t, want[line.Msg].TraceID().String(), line.TraceID, line.Msg)
			assert.Equal(t, want[line.Msg].SpanID().String(), line.SpanID, line.Msg)
			delete(want, line.Msg)
		}
		assert.Empty(t, want, "lines that are missing")
	})
}
