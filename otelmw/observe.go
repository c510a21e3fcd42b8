package otelmw

import (
	"context"
	"errors"
	"math"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/afterspan/afterspan/core"
)

// ObserveManager reports the gauges and the refusals of m as metrics, at each collection:
//
//   - afterspan.manager.tasks (observable up-down counter, {task}), with afterspan.task.state = running or queued
//   - afterspan.manager.rejected (observable counter, {task})
//
// both with afterspan.manager.name = name, which tells the managers of a process apart. Of the options only
// [WithMeterProvider] counts. The Registration keeps m in memory until it is unregistered.
// It panics if m is nil.
func ObserveManager(m *core.Manager, name string, opts ...Option) (metric.Registration, error) {
	if m == nil {
		panic("otelmw: ObserveManager: m is nil")
	}
	meter := newMeter(newConfig(opts).meterProvider)
	tasks, err1 := meter.Int64ObservableUpDownCounter("afterspan.manager.tasks", metric.WithUnit("{task}"),
		metric.WithDescription("Background tasks that run or wait for a slot."))
	rejected, err2 := meter.Int64ObservableCounter("afterspan.manager.rejected", metric.WithUnit("{task}"),
		metric.WithDescription("Background tasks that were refused."))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}

	manager := managerNameKey.String(text(name))
	with := func(attrs ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(attrs, manager)...))
	}
	running, queued, all := with(taskStateKey.String("running")), with(taskStateKey.String("queued")), with()
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := m.Stats()
		o.ObserveInt64(tasks, int64(stats.Running), running)
		o.ObserveInt64(tasks, int64(stats.Queued), queued)
		o.ObserveInt64(rejected, int64(min(stats.Rejected, math.MaxInt64)), all)
		return nil
	}, tasks, rejected)
}
