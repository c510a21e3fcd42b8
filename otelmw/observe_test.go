package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// ObserveManager: what a manager holds.

func managerTasks(points ...metricdata.DataPoint[int64]) metricdata.Metrics {
	return metricdata.Metrics{
		Name: "afterspan.manager.tasks", Unit: "{task}",
		Description: "Background tasks that run, wait to run, or run though they were cancelled.",
		Data:        metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, DataPoints: points},
	}
}

func managerOldest(points ...metricdata.DataPoint[float64]) metricdata.Metrics {
	return metricdata.Metrics{
		Name: "afterspan.manager.oldest", Unit: "s",
		Description: "How long the oldest background task has been running.",
		Data:        metricdata.Gauge[float64]{DataPoints: points},
	}
}

// of returns the points of one manager.
func of(manager string, running, queued, overdue int64) (points []metricdata.DataPoint[int64]) {
	for state, value := range map[string]int64{"running": running, "queued": queued, "overdue": overdue} {
		points = append(points, metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(
			attribute.String("afterspan.manager.name", manager), attribute.String("afterspan.task.state", state))})
	}
	return points
}

func age(manager string, seconds float64) metricdata.DataPoint[float64] {
	return metricdata.DataPoint[float64]{
		Value: seconds, Attributes: attribute.NewSet(attribute.String("afterspan.manager.name", manager)),
	}
}

// Each collection sees the figures of its own moment, and they go down as well as up.
func TestObserveManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithLimit(2, 3))
		_, err := otelmw.ObserveManager(m, "mail", otelmw.WithMeterProvider(tel.meters))
		require.NoError(t, err)
		assertMetrics(t, tel, managerTasks(of("mail", 0, 0, 0)...), managerOldest(age("mail", 0)))

		release := make(chan struct{})
		for range 9 {
			m.Go(context.Background(), "job", until(release))
		}
		time.Sleep(3 * time.Second)
		assertMetrics(t, tel, managerTasks(of("mail", 2, 3, 0)...), managerOldest(age("mail", 3)))

		close(release)
		require.NoError(t, m.Wait(t.Context()))
		assertMetrics(t, tel, managerTasks(of("mail", 0, 0, 0)...), managerOldest(age("mail", 0)))
	})
}

// A task that ignores its cancel is what an operator wants to be woken for.
func TestObserveManagerCountsOverdueTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager()
		_, err := otelmw.ObserveManager(m, "mail", otelmw.WithMeterProvider(tel.meters))
		require.NoError(t, err)
		release := make(chan struct{})
		m.Go(context.Background(), "stuck", until(release), core.WithTimeout(time.Second))
		m.Go(context.Background(), "fine", until(release))
		time.Sleep(7 * time.Second)
		assertMetrics(t, tel, managerTasks(of("mail", 2, 0, 1)...), managerOldest(age("mail", 7)))
		close(release)
		require.NoError(t, m.Wait(t.Context()))
		assertMetrics(t, tel, managerTasks(of("mail", 0, 0, 0)...), managerOldest(age("mail", 0)))
	})
}

// The managers of a process are told apart by their names.
func TestObserveManagerOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		for _, name := range []string{"mail", "audit\xff"} {
			_, err := otelmw.ObserveManager(newManager(), name, otelmw.WithMeterProvider(tel.meters), nil)
			require.NoError(t, err)
		}
		assertMetrics(t, tel, managerTasks(append(of("mail", 0, 0, 0), of("audit\uFFFD", 0, 0, 0)...)...),
			managerOldest(age("mail", 0), age("audit\uFFFD", 0)))
	})
}

// Twice would count everything twice, whatever the names and the providers.
func TestObserveManagerTwiceIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, other := newTelemetry(t), newTelemetry(t)
		m := newManager()
		first, err := otelmw.ObserveManager(m, "mail", otelmw.WithMeterProvider(tel.meters))
		require.NoError(t, err)
		for _, again := range []*telemetry{tel, other} {
			r, err := otelmw.ObserveManager(m, "again", otelmw.WithMeterProvider(again.meters))
			require.ErrorContains(t, err, `"again"`)
			require.ErrorContains(t, err, `as "mail"`)
			assert.Nil(t, r)
		}
		assertMetrics(t, tel, managerTasks(of("mail", 0, 0, 0)...), managerOldest(age("mail", 0)))

		require.NoError(t, first.Unregister())
		second, err := otelmw.ObserveManager(m, "again", otelmw.WithMeterProvider(other.meters))
		require.NoError(t, err)
		require.NoError(t, first.Unregister(), "once more")
		_, err = otelmw.ObserveManager(m, "again", otelmw.WithMeterProvider(other.meters))
		require.Error(t, err, "the second is not the first's to unregister")
		require.NoError(t, second.Unregister())
	})
}

func TestObserveManagerUntilUnregistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		r, err := otelmw.ObserveManager(newManager(), "mail", otelmw.WithMeterProvider(tel.meters))
		require.NoError(t, err)
		require.Len(t, tel.collect(t), 2)
		require.NoError(t, r.Unregister())
		assert.Empty(t, tel.collect(t))
	})
}

func TestObserveManagerWithoutMetrics(t *testing.T) {
	r, err := otelmw.ObserveManager(newManager(), "mail", noMetrics)
	require.NoError(t, err)
	assert.NoError(t, r.Unregister())
}

func TestObserveManagerNeedsAManager(t *testing.T) {
	assert.PanicsWithValue(t, "otelmw: ObserveManager: m is nil", func() { _, _ = otelmw.ObserveManager(nil, "mail") })
}
