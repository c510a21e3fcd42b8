package otelmw_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// collect returns the metrics by their names. None but this middleware makes any.
func (tel *telemetry) collect(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(t, tel.reader.Collect(context.Background(), &rm))
	found := map[string]metricdata.Metrics{}
	for _, scope := range rm.ScopeMetrics {
		assert.Equal(t, otelmw.ScopeName, scope.Scope.Name)
		assert.Equal(t, otelmw.Version, scope.Scope.Version)
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

func (tel *telemetry) histogram(t *testing.T, name string) metricdata.Histogram[float64] {
	t.Helper()
	h, ok := tel.collect(t)[name].Data.(metricdata.Histogram[float64])
	require.True(t, ok, "no histogram %s", name)
	require.NotEmpty(t, h.DataPoints)
	return h
}

// active returns how many tasks count as running. Were a task counted under other attributes at its end than
// at its start, there would be two time series, of which one is below zero.
func (tel *telemetry) active(t *testing.T) (sum int64) {
	t.Helper()
	data, _ := tel.collect(t)["afterspan.task.active"].Data.(metricdata.Sum[int64])
	for _, point := range data.DataPoints {
		assert.GreaterOrEqual(t, point.Value, int64(0), "%v", point.Attributes.ToSlice())
		sum += point.Value
	}
	return sum
}

// pointsOf returns the attributes of all that a metric has, as text.
func (tel *telemetry) pointsOf(t *testing.T, name string) (text string) {
	t.Helper()
	switch data := tel.collect(t)[name].Data.(type) {
	case metricdata.Histogram[float64]:
		for _, point := range data.DataPoints {
			text += fmt.Sprintln(point.Attributes.ToSlice())
		}
	case metricdata.Sum[int64]:
		for _, point := range data.DataPoints {
			text += fmt.Sprintln(point.Attributes.ToSlice())
		}
	default:
		assert.Failf(t, "unexpected metric", "%s: %T", name, data)
	}
	return text
}

var buckets = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}

// point is a histogram's data point after one value.
func point(value float64, bucket int, attrs ...attribute.KeyValue) metricdata.HistogramDataPoint[float64] {
	counts := make([]uint64, len(buckets)+1)
	counts[bucket] = 1
	return metricdata.HistogramDataPoint[float64]{
		Attributes: attribute.NewSet(attrs...), Count: 1, Sum: value, Bounds: buckets, BucketCounts: counts,
		Min: metricdata.NewExtrema(value), Max: metricdata.NewExtrema(value),
	}
}

func histogram(name, description string, points ...metricdata.HistogramDataPoint[float64]) metricdata.Metrics {
	return metricdata.Metrics{
		Name: name, Unit: "s", Description: description,
		Data: metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality, DataPoints: points},
	}
}

func duration(points ...metricdata.HistogramDataPoint[float64]) metricdata.Metrics {
	return histogram("afterspan.task.duration", "How long the run of a background task took.", points...)
}

func queueDuration(points ...metricdata.HistogramDataPoint[float64]) metricdata.Metrics {
	return histogram("afterspan.task.queue.duration",
		"How long a background task waited for the start of its run.", points...)
}

// active is what is expected after the end of all: zero, and one series for a name.
func active(value int64, names ...string) metricdata.Metrics {
	sum := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality}
	for _, name := range names {
		sum.DataPoints = append(sum.DataPoints, metricdata.DataPoint[int64]{
			Attributes: attribute.NewSet(attribute.String("afterspan.task.name", name)), Value: value,
		})
	}
	return metricdata.Metrics{
		Name: "afterspan.task.active", Unit: "{task}", Description: "Background tasks that run.", Data: sum,
	}
}

// assertMetrics checks all that there is, but for times and exemplars.
func assertMetrics(t *testing.T, tel *telemetry, want ...metricdata.Metrics) {
	t.Helper()
	got := tel.collect(t)
	assert.Len(t, got, len(want))
	for _, w := range want {
		if assert.Contains(t, got, w.Name) {
			metricdatatest.AssertEqual(t, w, got[w.Name],
				metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
		}
	}
}

// assertMetric checks one of the metrics, but for times and exemplars.
func assertMetric(t *testing.T, tel *telemetry, want metricdata.Metrics) {
	t.Helper()
	got := tel.collect(t)
	if assert.Contains(t, got, want.Name) {
		metricdatatest.AssertEqual(t, want, got[want.Name],
			metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	}
}

// The whole of what one task leaves: nothing of its id, its attributes or its spawner.
func TestMetricsOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
		ctx, agent := tel.start("agent")
		name := attribute.String("afterspan.task.name", "job")
		m.Go(ctx, "job", func(context.Context) error { time.Sleep(1500 * time.Millisecond); return nil },
			core.WithAttrs(slog.String("thread_id", "t-1")), core.WithTimeout(time.Hour))
		agent.End()
		synctest.Wait()
		assertMetrics(t, tel, queueDuration(point(0, 0, name)), active(1, "job"))
		tel.wait(t, m)
		assertMetrics(t, tel, queueDuration(point(0, 0, name)), active(0, "job"),
			duration(point(1.5, 7, name, attribute.String("afterspan.task.outcome", "completed"))))
	})
}

func TestMetricsOfEveryWayOut(t *testing.T) {
	for _, w := range waysOut {
		inBubble(t, w.name, func(t *testing.T) {
			tel := newTelemetry(t)
			w.run(t, tel, tel.manager())
			name := attribute.String("afterspan.task.name", "job")
			ended := []attribute.KeyValue{name, attribute.String("afterspan.task.outcome", w.outcome)}
			if w.errorType != "" {
				ended = append(ended, attribute.String("error.type", w.errorType))
			}
			p := point(w.timeout.Seconds(), 0, ended...) // those with a timeout end with it
			if w.timeout > 0 {
				p = point(w.timeout.Seconds(), 6, ended...)
			}
			assertMetrics(t, tel, queueDuration(point(0, 0, name)), active(0, "job"), duration(p))
		})
	}
}

// Every value has its bucket, from some milliseconds to minutes. A bound belongs to the bucket below it.
func TestBucketsReachFromMillisecondsToMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
		for _, took := range append([]float64{0.001, 1000}, buckets...) {
			m.Go(context.Background(), "job", func(context.Context) error {
				time.Sleep(time.Duration(took * float64(time.Second)))
				return nil
			})
			tel.wait(t, m)
		}
		assert.Equal(t, []uint64{2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
			tel.histogram(t, "afterspan.task.duration").DataPoints[0].BucketCounts)
	})
}

// The queue's histogram has every task, also one that does not wait, or that is cancelled while it does.
func TestQueueDurationIsOfEveryTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := newManager(core.WithMiddleware(tel.middleware()), core.WithLimit(1, -1))
		m.Go(context.Background(), "job", func(context.Context) error { time.Sleep(8 * time.Second); return nil })
		cancelled := m.Go(context.Background(), "job", succeed)
		m.Go(context.Background(), "job", succeed)
		time.Sleep(3 * time.Second)
		cancelled.Cancel()
		tel.wait(t, m)
		points := tel.histogram(t, "afterspan.task.queue.duration").DataPoints
		require.Len(t, points, 1, "the outcome is not known yet")
		assert.EqualValues(t, 3, points[0].Count)
		assert.InDelta(t, 0+3+8, points[0].Sum, 0)
	})
}

// An exemplar leads from a bar of the histogram to the trace of a task in it: the task's own, not the spawner's.
func TestExemplarsLeadToTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, "job", fail)
		agent.End()
		tel.wait(t, m)
		job := tel.span(t, "job").SpanContext()
		traceID, spanID := job.TraceID(), job.SpanID()
		for _, name := range []string{"afterspan.task.duration", "afterspan.task.queue.duration"} {
			exemplars := tel.histogram(t, name).DataPoints[0].Exemplars
			require.Len(t, exemplars, 1, name)
			assert.Equal(t, traceID[:], exemplars[0].TraceID, name)
			assert.Equal(t, spanID[:], exemplars[0].SpanID, name)
		}
	})
}

// With a filter the task leaves no metrics either: it is not recorded.
func TestFilteredTaskLeavesNoMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(filterOut("job"))
		m.Go(context.Background(), "job", succeed)
		tel.wait(t, m)
		assert.Empty(t, tel.collect(t))
	})
}

// Metrics are of every task, whatever becomes of its span.
func TestMetricsDoNotDependOnSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.WithSampler(sdktrace.NeverSample()))
		m := tel.manager()
		m.Go(context.Background(), "job", fail)
		tel.wait(t, m)
		assert.Empty(t, tel.names())
		name := attribute.String("afterspan.task.name", "job")
		assertMetrics(t, tel, queueDuration(point(0, 0, name)), active(0, "job"), duration(point(0, 0, name,
			attribute.String("afterspan.task.outcome", "failed"),
			attribute.String("error.type", plainError))))
	})
}

// A view may drop an instrument. The others go on.
func TestDroppedInstrumentCostsTheOthersNothing(t *testing.T) {
	for _, dropped := range []string{"afterspan.task.duration", "afterspan.task.queue.duration", "afterspan.task.active"} {
		inBubble(t, dropped, func(t *testing.T) {
			tel := newTelemetry(t)
			tel.reader = sdkmetric.NewManualReader()
			tel.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(tel.reader), sdkmetric.WithView(
				sdkmetric.NewView(sdkmetric.Instrument{Name: dropped}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}})))
			tel.job(t, fail, nil)
			got := tel.collect(t)
			assert.Len(t, got, 2)
			assert.NotContains(t, got, dropped)
		})
	}
}
