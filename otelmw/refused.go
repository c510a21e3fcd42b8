package otelmw

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// The values of afterspan.refusal.reason.
const (
	reasonFull     = "full"     // by a manager or a Keyed without room
	reasonClosed   = "closed"   // by a manager whose shutdown has begun
	reasonRejected = "rejected" // by a middleware
)

// onRefused is the Refused hook. A task that a manager refused has no span: it is an event on its
// spawner's. One that an engine could not store has a span "spawn NAME", too.
func (mw *middleware) onRefused(ctx context.Context, t *core.Task) {
	if s := mw.findSpawn(ctx, t); s != nil && s.isRecorded {
		mw.endSpawnSpan(ctx, s)
	} else if s != nil || !mw.records(ctx, t) {
		return
	}
	reason := refusalReason(t.Err())
	if mw.tracer != nil {
		addRefused(ctx, t, reason)
	}
	if mw.instruments != nil {
		defer contain("a metric")
		mw.instruments.countRefused(ctx, t.Name(), reason)
	}
}

func addRefused(ctx context.Context, t *core.Task, reason string) {
	defer contain("an event")
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.AddEvent("task refused", trace.WithAttributes(
			taskNameKey.String(text(t.Name())), refusalReasonKey.String(reason)))
	}
}

func refusalReason(err error) string {
	switch {
	case errors.Is(err, core.ErrFull):
		return reasonFull
	case errors.Is(err, core.ErrClosed):
		return reasonClosed
	default:
		return reasonRejected
	}
}
