package otelmw

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/afterspan/afterspan/core"
)

// ObserveManager reports at each collection what m holds:
//
//   - afterspan.manager.tasks (observable up-down counter, {task}) with afterspan.task.state = running,
//     queued or overdue. Overdue tasks were cancelled or timed out over five seconds ago. They are
//     counted as running, too, so do not add them up.
//   - afterspan.manager.oldest (observable gauge, s): the time since its start of the task that runs
//     longest, 0 if none runs.
//
// Both have afterspan.manager.name = name, which tells the managers of a process apart. Of the
// options only [WithMeterProvider] counts.
//
// It returns an error if m is observed already, whatever the provider: the figures would count twice.
// The Registration keeps m in memory until it is unregistered; then m may be observed again.
//
// ObserveManager is safe for concurrent use. It panics if m is nil.
func ObserveManager(m *core.Manager, name string, opts ...Option) (metric.Registration, error) {
	if m == nil {
		panic("otelmw: ObserveManager: m is nil")
	}
	r := &registration{manager: m, name: name}
	if first, twice := observed.LoadOrStore(m, r); twice {
		return nil, fmt.Errorf("otelmw: ObserveManager: %q: the manager is observed already, as %q",
			name, first.(*registration).name)
	}
	var err error
	if r.Registration, err = observe(m, name, newConfig(opts).meterProvider); err != nil {
		observed.Delete(m)
		return nil, err
	}
	return r, nil
}

// observed has the managers that are observed.
var observed sync.Map // of *registration by *core.Manager

// A registration makes its manager free to be observed again when it is unregistered.
type registration struct {
	metric.Registration
	manager *core.Manager
	name    string
}

// Unregister implements metric.Registration.
func (r *registration) Unregister() error {
	observed.CompareAndDelete(r.manager, r)
	return r.Registration.Unregister()
}

func observe(m *core.Manager, name string, mp metric.MeterProvider) (metric.Registration, error) {
	meter := newMeter(mp)
	tasks, err1 := meter.Int64ObservableUpDownCounter("afterspan.manager.tasks", metric.WithUnit("{task}"),
		metric.WithDescription("Background tasks that run, wait to run, or run though they were cancelled."))
	oldest, err2 := meter.Float64ObservableGauge("afterspan.manager.oldest", metric.WithUnit("s"),
		metric.WithDescription("How long the oldest background task has been running."))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	with := func(attrs ...attribute.KeyValue) metric.MeasurementOption {
		attrs = append(attrs, managerNameKey.String(text(name)))
		return metric.WithAttributeSet(attribute.NewSet(attrs...))
	}
	running, queued := with(taskStateKey.String("running")), with(taskStateKey.String("queued"))
	overdue, manager := with(taskStateKey.String("overdue")), with()
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := m.Stats()
		o.ObserveInt64(tasks, int64(stats.Running), running)
		o.ObserveInt64(tasks, int64(stats.Queued), queued)
		o.ObserveInt64(tasks, int64(stats.Overdue), overdue)
		o.ObserveFloat64(oldest, stats.Oldest.Seconds(), manager)
		return nil
	}, tasks, oldest)
}
