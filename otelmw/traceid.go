package otelmw

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// TraceID returns the id of the trace that t's own span is in, in hexadecimal. ctx is the context of the
// task's run or derived from it, as middlewares after this one and their Ended hooks get it. It is for
// package taskz and for log lines.
//
// It returns "" if t has no span that is sampled: it was filtered or cancelled in the queue, or ctx is
// that of another task.
func TraceID(ctx context.Context, t *core.Task) string {
	s, _ := ctx.Value(spawnKey{}).(*spawn)
	if s == nil || s.task != t || !s.isRecorded || s.mw.tracer == nil {
		return ""
	}
	sc := trace.SpanContextFromContext(ctx)
	// Without a span of its own, a task has the spawner's as its current one.
	if !sc.IsSampled() || sc.SpanID() == s.spawner.SpanID() {
		return ""
	}
	return sc.TraceID().String()
}
