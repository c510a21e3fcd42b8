package otelmw

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/afterspan/afterspan/core"
)

// durationBuckets are those of the semantic conventions for work that may take minutes, in seconds.
var durationBuckets = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}

// instruments are the metrics of tasks.
type instruments struct {
	duration metric.Float64Histogram
	queue    metric.Float64Histogram
	active   metric.Int64UpDownCounter
	refused  metric.Int64Counter

	sets     sync.Map // of *nameSets by task name
	setCount atomic.Int32
}

func newInstruments(mp metric.MeterProvider) *instruments {
	meter := newMeter(mp)
	var in instruments
	var err error
	in.duration, err = meter.Float64Histogram("afterspan.task.duration", metric.WithUnit("s"),
		metric.WithDescription("How long the run of a background task took."),
		metric.WithExplicitBucketBoundaries(durationBuckets...))
	handle(err)
	in.queue, err = meter.Float64Histogram("afterspan.task.queue.duration", metric.WithUnit("s"),
		metric.WithDescription("How long a background task waited for the start of its run."),
		metric.WithExplicitBucketBoundaries(durationBuckets...))
	handle(err)
	in.active, err = meter.Int64UpDownCounter("afterspan.task.active", metric.WithUnit("{task}"),
		metric.WithDescription("Background tasks that run."))
	handle(err)
	in.refused, err = meter.Int64Counter("afterspan.task.refused", metric.WithUnit("{task}"),
		metric.WithDescription("Background tasks that were refused."))
	handle(err)
	return &in
}

func newMeter(mp metric.MeterProvider) metric.Meter {
	return mp.Meter(ScopeName, metric.WithInstrumentationVersion(Version), metric.WithSchemaURL(schemaURL))
}

// handle reports an error of an instrument. What the meter returned with the error can be used.
func handle(err error) {
	if err != nil {
		otel.Handle(err)
	}
}

// nameSets are the attribute sets of the tasks of one name, made once. The options are kept as the
// slices that calls take, since making those allocates as well.
type nameSets struct {
	name      []metric.AddOption
	queue     []metric.RecordOption
	byOutcome [core.Rejected][]metric.RecordOption // nil for Failed, whose error.type varies
}

// The cache of sets is bounded, since names may turn out to have ids in them.
const (
	mostNames   = 1000
	longestName = 200 // bytes
)

func (in *instruments) setsOf(name string) *nameSets {
	if sets, ok := in.sets.Load(name); ok {
		return sets.(*nameSets)
	}
	sets := newNameSets(name)
	if len(name) > longestName {
		return sets
	}
	if in.setCount.Add(1) > mostNames {
		in.setCount.Add(-1)
		return sets
	}
	if first, loaded := in.sets.LoadOrStore(name, sets); loaded {
		in.setCount.Add(-1)
		return first.(*nameSets)
	}
	return sets
}

func newNameSets(name string) *nameSets {
	named := metric.WithAttributeSet(attribute.NewSet(taskNameKey.String(text(name))))
	sets := &nameSets{name: []metric.AddOption{named}, queue: []metric.RecordOption{named}}
	for _, o := range []core.Outcome{core.Completed, core.Cancelled, core.TimedOut} {
		kind := ""
		if o == core.TimedOut {
			kind = timeoutType
		}
		sets.byOutcome[o] = recordOptions(durationAttributes(name, o, kind))
	}
	return sets
}

func durationAttributes(name string, o core.Outcome, errorType string) attributes {
	attrs := attributes{taskNameKey.String(text(name)), taskOutcomeKey.String(o.String())}
	if errorType != "" {
		attrs = append(attrs, errorTypeKey.String(errorType))
	}
	return attrs
}

// recordOptions owns attrs: NewSet sorts them in place.
func recordOptions(attrs attributes) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// recordQueue records how long t waited. With Spawn it is called once for a task.
func (in *instruments) recordQueue(ctx context.Context, t *core.Task, waited time.Duration, extra []attribute.KeyValue) {
	if !in.queue.Enabled(ctx) {
		return
	}
	if len(extra) == 0 {
		in.queue.Record(ctx, waited.Seconds(), in.setsOf(t.Name()).queue...)
		return
	}
	attrs := attributes{taskNameKey.String(text(t.Name()))}
	attrs.addForeign(extra...)
	in.queue.Record(ctx, waited.Seconds(), recordOptions(attrs)...)
}

// recordDuration records how long a run of t took, and how it ended.
func (in *instruments) recordDuration(ctx context.Context, t *core.Task, took time.Duration, end ending, extra []attribute.KeyValue) {
	if !in.duration.Enabled(ctx) {
		return
	}
	if cached := in.setsOf(t.Name()).byOutcome[end.outcome]; cached != nil && len(extra) == 0 {
		in.duration.Record(ctx, took.Seconds(), cached...)
		return
	}
	attrs := durationAttributes(t.Name(), end.outcome, end.errorType)
	attrs.addForeign(extra...)
	in.duration.Record(ctx, took.Seconds(), recordOptions(attrs)...)
}

// addActive counts t as running with n = 1, and takes that back with n = -1.
func (in *instruments) addActive(ctx context.Context, t *core.Task, n int64) {
	in.active.Add(ctx, n, in.setsOf(t.Name()).name...)
}

// countRefused counts a task of that name as refused for that reason.
func (in *instruments) countRefused(ctx context.Context, name, reason string) {
	if in.refused.Enabled(ctx) {
		in.refused.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(
			taskNameKey.String(text(name)), refusalReasonKey.String(reason))))
	}
}
