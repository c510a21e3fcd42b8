package otelmw

import (
	"context"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
)

// ScopeName is the instrumentation scope of the spans and metrics.
const ScopeName = "github.com/afterspan/afterspan/otelmw"

// Version is the version of this module and of the instrumentation scope.
const Version = "0.1.0"

// schemaURL names the semantic conventions that error.type and exception.* are taken from.
const schemaURL = "https://opentelemetry.io/schemas/1.43.0"

// New returns a middleware that makes a span of every task, linked with the span that started it,
// and counts all tasks in metrics. Put it first in the chain, so that it sees what the others do.
//
// With no-op providers for both signals it has no hooks, and a task costs what it costs without it.
//
// One middleware may serve several managers. It keeps nothing of a task after its end.
func New(opts ...Option) core.Middleware {
	mw := newMiddleware(opts)
	if mw.tracer == nil && mw.instruments == nil {
		return core.Middleware{}
	}
	return core.Middleware{
		Spawn:     mw.onSpawn,
		Wrap:      mw.wrap,
		Refused:   mw.onRefused,
		Ended:     mw.onEnded,
		Abandoned: mw.onAbandoned,
		Enqueued:  mw.onEnqueued,
	}
}

type middleware struct {
	config
	tracer      trace.Tracer // nil: no spans, as the provider is the API's own no-op
	instruments *instruments // nil: no metrics, for the same reason
	hold        hold
}

func newMiddleware(opts []Option) *middleware {
	mw := &middleware{config: newConfig(opts)}
	mw.attributes = foreign(mw.attributes)
	mw.hold.after = mw.spawnSpanHold
	if _, noop := mw.tracerProvider.(tracenoop.TracerProvider); !noop {
		mw.tracer = mw.tracerProvider.Tracer(ScopeName,
			trace.WithInstrumentationVersion(Version), trace.WithSchemaURL(schemaURL))
	}
	if _, noop := mw.meterProvider.(metricnoop.MeterProvider); !noop {
		mw.instruments = newInstruments(mw.meterProvider)
	}
	return mw
}

// onSpawn is the Spawn hook. The context that it returns has the spawner's span as its current one:
// the Spawns of later middlewares see it, and so does a task that gets no span of its own.
func (mw *middleware) onSpawn(ctx context.Context, t *core.Task) context.Context {
	s := mw.newSpawn(ctx, t)
	mw.startSpawnSpan(ctx, s)
	return context.WithValue(ctx, spawnKey{}, s)
}

// wrap is the Wrap hook.
func (mw *middleware) wrap(next core.Handler) core.Handler {
	return func(ctx context.Context, t *core.Task) (err error) {
		ctx, s := mw.spawnOf(ctx, t)
		if !s.isRecorded || wasDequeued(t) {
			return next(ctx, t)
		}
		r := run{mw: mw, spawn: s, ctx: ctx}
		returned := false
		defer func() {
			if returned {
				r.end(err)
			} else {
				r.endPassing(recover())
			}
		}()
		r.start()
		err = next(r.ctx, t)
		returned = true
		return err
	}
}

// onEnded is the Ended hook.
func (mw *middleware) onEnded(ctx context.Context, t *core.Task) {
	s := mw.findSpawn(ctx, t)
	if s == nil || !s.isRecorded {
		return
	}
	mw.endSpawnSpan(ctx, s)
	if mw.instruments != nil {
		mw.countEnded(ctx, s)
	}
}

// countEnded counts what no run has counted: a refusal by a middleware, and the queue time of a task
// that had no run.
func (mw *middleware) countEnded(ctx context.Context, s *spawn) {
	defer contain("a metric")
	if s.task.Outcome() == core.Rejected {
		mw.instruments.countRefused(ctx, s.task.Name(), reasonRejected)
	}
	if s.attempts.Load() == 0 {
		mw.instruments.recordQueue(ctx, s.task, queueTime(s.task), mw.metricAttributes(ctx, s.task))
	}
}

// onAbandoned is the Abandoned hook: the process is about to end without the task.
func (mw *middleware) onAbandoned(ctx context.Context, t *core.Task) {
	s := mw.findSpawn(ctx, t)
	if s == nil {
		return
	}
	mw.abandonSpawnSpan(s)
	for _, span := range s.open.takeAll() {
		abandonSpan(span)
	}
}

// onEnqueued is the Enqueued hook: nobody in this process will hear how the task ended.
func (mw *middleware) onEnqueued(ctx context.Context, t *core.Task) {
	s := mw.findSpawn(ctx, t)
	if s == nil {
		return
	}
	span := mw.takeSpawnSpan(s)
	if span.Span == nil {
		return
	}
	defer span.end()
	defer contain("an attribute")
	if id := t.ID(); id != 0 {
		span.SetAttributes(taskIDKey.Int64(int64(id)))
	}
}

// wasDequeued reports whether the manager skips t's Func, because t was cancelled in the queue or its
// context ended before its run began. A task of no manager has ID 0 and no start time.
func wasDequeued(t *core.Task) bool { return t.ID() != 0 && t.StartedAt().IsZero() }
