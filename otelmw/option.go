package otelmw

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// An Option configures the middleware. It is given to [New]. A nil Option does nothing, and a nil
// argument of an option leaves the default.
//
// Callbacks may be called by several goroutines at once. A panic in a callback goes to [otel.Handle],
// and the task goes on without what the callback would have returned.
type Option func(*config)

// config holds what the options set.
type config struct {
	tracerProvider trace.TracerProvider
	meterProvider  metric.MeterProvider

	relation      Relation
	relationFunc  func(context.Context, *core.Task) Relation
	spawnSpan     bool
	spawnSpanHold time.Duration
	nameFormatter func(context.Context, *core.Task) string
	startOptions  []trace.SpanStartOption

	attributes            []attribute.KeyValue
	attributesFuncs       []func(context.Context, *core.Task) []attribute.KeyValue
	metricAttributesFuncs []func(context.Context, *core.Task) []attribute.KeyValue
	replaceAttr           func(slog.Attr) slog.Attr
	baggageKeys           []string

	filters          []func(context.Context, *core.Task) bool
	errorDescription func(error) string
}

func newConfig(opts []Option) config {
	c := config{
		tracerProvider: otel.GetTracerProvider(),
		meterProvider:  otel.GetMeterProvider(),
		spawnSpan:      true,
		spawnSpanHold:  5 * time.Second,
	}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return c
}

// WithTracerProvider sets where spans go. The default is the global provider at the time of [New];
// if none has been set by then, spans go to the first one that is set later. With the no-op
// provider of go.opentelemetry.io/otel/trace/noop no spans are made, and tasks run with the
// spawner's span as the current one.
func WithTracerProvider(tp trace.TracerProvider) Option {
	return func(c *config) {
		if tp != nil {
			c.tracerProvider = tp
		}
	}
}

// WithMeterProvider sets where metrics go. The default is the global provider at the time of [New];
// if none has been set by then, metrics go to the first one that is set later. With the no-op
// provider of go.opentelemetry.io/otel/metric/noop nothing is counted.
func WithMeterProvider(mp metric.MeterProvider) Option {
	return func(c *config) {
		if mp != nil {
			c.meterProvider = mp
		}
	}
}

// WithRelation sets how a task's span relates to its spawner's. The default is [Link].
func WithRelation(r Relation) Option {
	return func(c *config) { c.relation = r }
}

// WithRelationFunc lets f decide how a task's span relates to its spawner's. f is called once for
// each task, before Go returns, with the spawner's context. The default is the relation of
// [WithRelation], which also holds if f panics.
func WithRelationFunc(f func(ctx context.Context, t *core.Task) Relation) Option {
	return func(c *config) {
		if f != nil {
			c.relationFunc = f
		}
	}
}

// WithoutSpawnSpan leaves "spawn NAME" out of the spawner's trace. The task's span then links to the
// spawner's own, and nothing in the spawner's trace tells of the task. The default is with it.
func WithoutSpawnSpan() Option {
	return func(c *config) { c.spawnSpan = false }
}

// WithSpawnSpanHold sets how long "spawn NAME" is held back for the outcome of the task. The
// default is 5 s. After that it is handed to the span processors with the outcome pending. With 0
// or less it is handed over as the run starts, and never tells the outcome of a run.
//
// A held span is in memory, about 1 KiB each. A longer hold tells more outcomes and loses more
// spans if the process is killed. A tail sampler must wait for longer than the hold.
func WithSpawnSpanHold(d time.Duration) Option {
	return func(c *config) { c.spawnSpanHold = max(d, 0) }
}

// WithSpanNameFormatter sets the name of a task's span. f is called once for each task, before Go
// returns, with the spawner's context. The default is the task's name, which is also used if f
// returns "" or panics. Use few different names, since trace stores index them. Metrics keep the
// task's name.
func WithSpanNameFormatter(f func(ctx context.Context, t *core.Task) string) Option {
	return func(c *config) {
		if f != nil {
			c.nameFormatter = f
		}
	}
}

// WithSpanStartOptions adds options to the start of a task's span, such as a span kind other than
// CONSUMER. Put attributes into [WithAttributes] instead: here they may hide those of this package.
// Repeated options append. The default is none.
func WithSpanStartOptions(opts ...trace.SpanStartOption) Option {
	isNil := func(opt trace.SpanStartOption) bool { return opt == nil }
	return func(c *config) {
		c.startOptions = append(c.startOptions, slices.DeleteFunc(slices.Clone(opts), isNil)...)
	}
}

// WithAttributes sets attributes of every task's span. Attributes from the task,
// [WithAttributesFunc] and baggage take precedence. Repeated options append. The default is none.
func WithAttributes(attrs ...attribute.KeyValue) Option {
	return func(c *config) { c.attributes = append(c.attributes, attrs...) }
}

// WithAttributesFunc lets f add attributes to a task's span. f is called with the context of the
// run when its span starts, or at the end of a task that had no run. A web framework may have
// reused the values of that context for another request by then: give what belongs to a request to
// [core.WithAttrs]. Attributes from the task take precedence. Repeated options append. The default
// is none.
func WithAttributesFunc(f func(ctx context.Context, t *core.Task) []attribute.KeyValue) Option {
	return func(c *config) {
		if f != nil {
			c.attributesFuncs = append(c.attributesFuncs, f)
		}
	}
}

// WithMetricAttributesFunc lets f add attributes to the two histograms of a task. f is called with
// the context of the run when it starts, or at the end of a task that had no run. Each combination
// of values is a time series: use few. Repeated options append. The default is none.
func WithMetricAttributesFunc(f func(ctx context.Context, t *core.Task) []attribute.KeyValue) Option {
	return func(c *config) {
		if f != nil {
			c.metricAttributesFuncs = append(c.metricAttributesFuncs, f)
		}
	}
}

// WithReplaceAttr lets f rename, redact or drop the task's own attributes on their way into its
// span. f gets each attribute with its value resolved and the names of its groups in the key,
// joined by dots. An attribute is dropped if f returns it without a key, or panics. f is not called
// for afterspan.* keys. The default is no change.
func WithReplaceAttr(f func(a slog.Attr) slog.Attr) Option {
	return func(c *config) {
		if f != nil {
			c.replaceAttr = f
		}
	}
}

// WithFilter lets f decide whether a task is recorded: true records it, false leaves it without
// spans and metrics. The task runs either way; without spans, the spawner's span stays the current
// one. f is called once for each task, before Go returns, with the spawner's context. If f panics
// the task is recorded. Several filters must all agree. The default is to record all tasks.
func WithFilter(f func(ctx context.Context, t *core.Task) bool) Option {
	return func(c *config) {
		if f != nil {
			c.filters = append(c.filters, f)
		}
	}
}

// WithErrorDescription sets the text of an error in a span's status and in the exception event of a
// panic. Use it if error texts contain what must not get into traces. f is called once for each
// span that has the error. If f panics the text is empty. The default is the error's own text.
func WithErrorDescription(f func(err error) string) Option {
	return func(c *config) {
		if f != nil {
			c.errorDescription = f
		}
	}
}

// WithBaggageKeys names members of the spawner's baggage that become attributes of a task's span,
// under their own keys. They are read before Go returns. Attributes from the task and
// [WithAttributesFunc] take precedence. Repeated options append. The default is none.
func WithBaggageKeys(keys ...string) Option {
	return func(c *config) { c.baggageKeys = append(c.baggageKeys, keys...) }
}
