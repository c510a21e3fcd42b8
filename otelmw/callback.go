package otelmw

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"

	"github.com/afterspan/afterspan/core"
)

// Code of the user's is called here: callbacks, and the methods of errors.

// contain is deferred around code that is not ours: callbacks, and the SDK with its samplers and
// processors. It gives a panic to OpenTelemetry's error handler, and the task goes on.
func contain(what string) {
	if v := recover(); v != nil {
		defer func() { _ = recover() }() // the error handler is the user's, too
		// To print v itself could end the process: it may contain itself.
		otel.Handle(fmt.Errorf("otelmw: %s: %w", what, &core.PanicError{Value: v}))
	}
}

// records asks the filters whether t is recorded.
func (mw *middleware) records(ctx context.Context, t *core.Task) bool {
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
	if mw.relationFunc != nil {
		defer contain("the callback of WithRelationFunc")
		r = mw.relationFunc(ctx, t)
	}
	return r
}

// spanName returns the name of t's span.
func (mw *middleware) spanName(ctx context.Context, t *core.Task) string {
	if mw.nameFormatter != nil {
		if name := mw.formatName(ctx, t); name != "" {
			return name
		}
	}
	return text(t.Name())
}

func (mw *middleware) formatName(ctx context.Context, t *core.Task) (name string) {
	defer contain("the callback of WithSpanNameFormatter")
	return text(mw.nameFormatter(ctx, t))
}

// replace returns what the callback of WithReplaceAttr makes of attr: nothing, if it panics.
func (mw *middleware) replace(attr slog.Attr) (replaced slog.Attr) {
	defer contain("the callback of WithReplaceAttr")
	return mw.replaceAttr(attr)
}

// metricAttributes returns what the callbacks of WithMetricAttributesFunc add.
func (mw *middleware) metricAttributes(ctx context.Context, t *core.Task) (extra []attribute.KeyValue) {
	for _, f := range mw.metricAttributesFuncs {
		extra = append(extra, callForAttributes(ctx, t, f, "the callback of WithMetricAttributesFunc")...)
	}
	return extra
}

func callForAttributes(
	ctx context.Context, t *core.Task, f func(context.Context, *core.Task) []attribute.KeyValue, what string,
) []attribute.KeyValue {
	defer contain(what)
	return f(ctx, t)
}

// describe returns the text that a span may have of err.
func (mw *middleware) describe(err error) (description string) {
	defer contain("the text of an error")
	if mw.errorDescription != nil {
		return text(mw.errorDescription(err))
	}
	return text(err.Error())
}
