package otelmw

import (
	"context"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// ScopeName is the instrumentation scope of the spans and metrics.
const ScopeName = "github.com/afterspan/afterspan/otelmw"

// Version is the version of this module, and that of the instrumentation scope.
const Version = "0.1.0"

// New returns a middleware that makes a span of every task, linked with the span that spawned it, and metrics
// of all tasks. Put it first in the chain, so that it sees what the others do. One outside it that does not call
// next leaves the task without a span and out of the metrics, and its span "spawn NAME" open; one that calls next
// again makes a span of each attempt.
//
// One middleware may serve several managers. It keeps nothing of a task after its end.
func New(opts ...Option) core.Middleware {
	mw := &middleware{config: newConfig(opts)}
	mw.attributes = foreign(mw.attributes)
	if !mw.tracesNothing() {
		mw.tracer = mw.tracerProvider.Tracer(ScopeName,
			trace.WithInstrumentationVersion(Version), trace.WithSchemaURL(semconv.SchemaURL))
	}
	if !mw.metersNothing() {
		mw.instruments = newInstruments(mw.meterProvider)
	}
	return core.Middleware{Spawn: mw.onSpawn, Wrap: mw.wrap}
}

type middleware struct {
	config
	tracer      trace.Tracer // nil: no spans
	instruments *instruments // nil: no metrics
}

func (mw *middleware) isOff() bool { return mw.tracer == nil && mw.instruments == nil }

// onSpawn is the Spawn hook.
func (mw *middleware) onSpawn(ctx context.Context, t *core.Task) context.Context {
	spawner := trace.SpanFromContext(ctx)
	if mw.isOff() {
		return hide(ctx, spawner)
	}
	return mw.newSpawn(ctx, t, spawner)
}

// wrap is the Wrap hook.
func (mw *middleware) wrap(next core.Handler) core.Handler {
	if mw.isOff() {
		return next
	}
	return func(ctx context.Context, t *core.Task) error {
		s := mw.spawnOf(ctx, t)
		if s.filtered {
			return next(ctx, t)
		}
		if mw.tracer != nil {
			growStack(false)
		}
		r := run{mw: mw, task: t, spawn: s, ctx: ctx}
		if mw.instruments != nil {
			r.began = time.Now()
		}
		defer r.end()
		r.start()
		r.err = next(r.ctx, t)
		r.returned = true
		return r.err
	}
}

// record asks the filters whether t is recorded.
func (mw *middleware) record(ctx context.Context, t *core.Task) bool {
	for _, filter := range mw.filters {
		if !passes(ctx, t, filter) {
			return false
		}
	}
	return true
}

func passes(ctx context.Context, t *core.Task, filter func(context.Context, *core.Task) bool) (yes bool) {
	yes = true
	defer contain("the callback of WithFilter")
	return filter(ctx, t)
}

// relationOf returns how t's span is to relate to its spawner's.
func (mw *middleware) relationOf(ctx context.Context, t *core.Task) (r Relation) {
	r = mw.relation
	if mw.relationFunc == nil {
		return r
	}
	defer contain("the callback of WithRelationFunc")
	return mw.relationFunc(ctx, t)
}

// spanName returns what t's span is called.
func (mw *middleware) spanName(t *core.Task) (name string) {
	name = text(t.Name())
	if mw.nameFormatter == nil {
		return name
	}
	defer contain("the callback of WithSpanNameFormatter")
	return text(mw.nameFormatter(t))
}

// describe returns what may be written of err.
func (mw *middleware) describe(err error) (description string) {
	defer contain("the text of an error")
	if mw.errorDescription != nil {
		return text(mw.errorDescription(err))
	}
	return text(err.Error())
}
