package otelmw

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
)

// An Option configures the middleware. It is given to [New]. A nil argument of an option
// leaves the default.
//
// A panic in a callback is recovered and given to [otel.Handle], and the task goes on
// without what the callback would have given.
type Option func(*config)

// config is what the options set.
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

// tracesNothing reports whether the tracer provider is the API's own no-op.
func (c *config) tracesNothing() bool {
	_, noop := c.tracerProvider.(tracenoop.TracerProvider)
	return noop
}

// metersNothing reports whether the meter provider is the API's own no-op.
func (c *config) metersNothing() bool {
	_, noop := c.meterProvider.(metricnoop.MeterProvider)
	return noop
}

// WithTracerProvider sets where spans go. The default is the global provider, also one that is set later.
func WithTracerProvider(tp trace.TracerProvider) Option {
	return func(c *config) {
		if tp != nil {
			c.tracerProvider = tp
		}
	}
}

// WithMeterProvider sets where metrics go. The default is the global provider, also one that is set later.
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

// WithRelationFunc lets f decide for each task, as it is spawned, how its span relates to its spawner's.
// ctx is the spawner's. The default is what [WithRelation] says, which is also taken where f panics.
func WithRelationFunc(f func(ctx context.Context, t *core.Task) Relation) Option {
	return func(c *config) {
		if f != nil {
			c.relationFunc = f
		}
	}
}

// WithoutSpawnSpan leaves the span "spawn NAME" out of the spawner's trace: the task's span then links to the
// spawner's own, and there is nothing in the spawner's trace that leads to the task.
func WithoutSpawnSpan() Option {
	return func(c *config) { c.spawnSpan = false }
}

// WithSpawnSpanHold sets how long
func WithSpawnSpanHold(d time.Duration) Option {
	return func(c *config) { c.spawnSpanHold = max(d, 0) }
}

// WithSpanNameFormatter sets what a task's span is called. The default is the task's name.
// Keep the number of different names small, since trace stores index them.
func WithSpanNameFormatter(f func(ctx context.Context, t *core.Task) string) Option {
	return func(c *config) {
		if f != nil {
			c.nameFormatter = f
		}
	}
}

// WithSpanStartOptions adds options to the start of a task's span, such as another span kind
// than CONSUMER. Attributes belong in [WithAttributes]. Repeated options append.
func WithSpanStartOptions(opts ...trace.SpanStartOption) Option {
	isNil := func(opt trace.SpanStartOption) bool { return opt == nil }
	return func(c *config) {
		c.startOptions = append(c.startOptions, slices.DeleteFunc(slices.Clone(opts), isNil)...)
	}
}

// WithAttributes sets attributes of every task's span. Those of the task, of
// [WithAttributesFunc] and of the baggage go before them. Repeated options append.
func WithAttributes(attrs ...attribute.KeyValue) Option {
	return func(c *config) { c.attributes = append(c.attributes, attrs...) }
}

// WithAttributesFunc lets f give attributes to a task's span, as it starts. The task's own go before them.
// Repeated options append.
func WithAttributesFunc(f func(ctx context.Context, t *core.Task) []attribute.KeyValue) Option {
	return func(c *config) {
		if f != nil {
			c.attributesFuncs = append(c.attributesFuncs, f)
		}
	}
}

// WithMetricAttributesFunc lets f add attributes to the two histograms of a task. Every
// combination of values is a time series of its own: give few. Repeated options append.
func WithMetricAttributesFunc(f func(ctx context.Context, t *core.Task) []attribute.KeyValue) Option {
	return func(c *config) {
		if f != nil {
			c.metricAttributesFuncs = append(c.metricAttributesFuncs, f)
		}
	}
}

// WithReplaceAttr lets f rename, redact or drop the task's own attributes on their way into its
// span. It sees each with its groups' names in the key, joined by dots, and its value resolved; an attribute
// whose key is empty is dropped, and so is one for which f panics. It is not asked about afterspan.* keys.
func WithReplaceAttr(f func(a slog.Attr) slog.Attr) Option {
	return func(c *config) {
		if f != nil {
			c.replaceAttr = f
		}
	}
}

// WithFilter lets f decide, as a task is spawned, whether it is recorded: true records it, false leaves it
// without spans and metrics. The task runs either way. All of several filters must agree. The default is all tasks.
func WithFilter(f func(ctx context.Context, t *core.Task) bool) Option {
	return func(c *config) {
		if f != nil {
			c.filters = append(c.filters, f)
		}
	}
}

// WithErrorDescription sets what is written of an error, in the span's status and in the exception event of a
// panic: for errors that tell more than traces may know. The default is the error's text.
func WithErrorDescription(f func(err error) string) Option {
	return func(c *config) {
		if f != nil {
			c.errorDescription = f
		}
	}
}

// WithBaggageKeys names the members of the spawner's baggage that become attributes of a task's span, under
// their own keys. The default is none. Repeated options append.
func WithBaggageKeys(keys ...string) Option {
	return func(c *config) { c.baggageKeys = append(c.baggageKeys, keys...) }
}
