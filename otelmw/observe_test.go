package otelmw_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// ObserveManager: what a manager holds, and what it refuses.

func managerTasks(points ...metricdata.DataPoint[int64]) metricdata.Metrics {
	return metricdata.Metrics{
		Name: "afterspan.manager.tasks", Unit: "{task}", Description: "Background tasks that run or wait for a slot.",
		Data: metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, DataPoints: points},
	}
}

func managerRejected(points ...metricdata.DataPoint[int64]) metricdata.Metrics {
	return metricdata.Metrics{
		Name: "afterspan.manager.rejected", Unit: "{task}", Description: "Background tasks that were refused.",
		Data: metricdata.Sum[int64]{
			Temporality: metricdata.CumulativeTemporality, IsMonotonic: true, DataPoints: points,
		},
	}
}

func count(value int64, manager string, attrs ...attribute.KeyValue) metricdata.DataPoint[int64] {
	attrs = append(attrs, attribute.String("afterspan.manager.name", manager))
	return metricdata.DataPoint[int64]{Attributes: attribute.NewSet(attrs...), Value: value}
}

var (
	running = attribute.String("afterspan.task.state", "running")
	queued  = attribute.String("afterspan.task.state", "queued")
)

// Each collection sees the figures of its own moment, and they go down as well as up.
func TestObserveManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithLimit(2, 3))
		_, err := otelmw.ObserveManager(m, "mail", otelmw.WithMeterProvider(tel.meters))
		require.NoError(t, err)
		assertMetrics(t, tel, managerTasks(count(0, "mail", running), count(0, "mail", queued)), managerRejected(count(0, "mail")))

		release := make(chan struct{})
		for range 9 {
			m.Go(context.Background(), "job", until(release))
		}
		assertMetrics(t, tel, managerTasks(count(2, "mail", running), count(3, "mail", queued)), managerRejected(count(4, "mail")))

		close(release)
		require.NoError(t, m.Wait(t.Context()))
		assertMetrics(t, tel, managerTasks(count(0, "mail", running), count(0, "mail", queued)), managerRejected(count(4, "mail")))
	})
}

// The managers of a process are told apart by their names.
func TestObserveManagerOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		mail, audit := newManager(), newManager()
		for name, m := range map[string]*core.Manager{"mail": mail, "audit\xff": audit} {
			_, err := otelmw.ObserveManager(m, name, otelmw.WithMeterProvider(tel.meters), nil)
			require.NoError(t, err)
		}
		require.NoError(t, audit.Close())
		audit.Go(context.Background(), "job", succeed)
		assertMetrics(t, tel,
			managerTasks(count(0, "mail", running), count(0, "mail", queued),
				count(0, "audit\uFFFD", running), count(0, "audit\uFFFD", queued)),
			managerRejected(count(0, "mail"), count(1, "audit\uFFFD")))
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
