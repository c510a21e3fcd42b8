package otelmw_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// A service runs for months.

// Once a task has ended nothing of it is kept: not the request behind its context, not what it worked on.
func TestNothingOfATaskIsKept(t *testing.T) {
	tel := newTelemetry(t)
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(nowhere{})) // the recorder would keep them
	m := tel.manager(otelmw.WithTracerProvider(traces))
	type body struct{ bytes [1 << 16]byte }
	type key struct{}
	spawn := func() (*core.Task, weak.Pointer[body], weak.Pointer[body]) {
		request, order := new(body), new(body)
		ctx, agent := traces.Tracer("service").Start(context.WithValue(context.Background(), key{}, request), "agent")
		defer agent.End()
		return m.Go(ctx, "job", fail, core.WithAttrs(slog.Any("order", func() int { return len(order.bytes) }))),
			weak.Make(request), weak.Make(order)
	}
	_, request, order := spawn()
	require.NoError(t, m.Wait(t.Context()))
	for range 100 { // the goroutine of the task may still be on its way out
		if runtime.GC(); request.Value() == nil && order.Value() == nil {
			return
		}
		runtime.Gosched()
	}
	assert.Nil(t, request.Value(), "what is behind the context")
	assert.Nil(t, order.Value(), "what is behind an attribute")
}

// Names ought to be few, but one day somebody puts an id into one. Neither the SDK's memory nor ours may grow with it:
// what is over the SDK's limit goes into one series that says so.
func TestNamesWithoutEnd(t *testing.T) {
	tel := newTelemetry(t)
	m := tel.manager(noTraces)
	run := func(from, to int) {
		for i := from; i < to; i++ {
			m.Go(context.Background(), fmt.Sprintf("send receipt %d", i), fail)
			if i%100 == 0 { // the runtime keeps what it had for goroutines: few at a time, lest they count
				require.NoError(t, m.Wait(t.Context()))
			}
		}
		require.NoError(t, m.Wait(t.Context()))
	}
	const limit = 2000 // the SDK's default
	run(0, 5000)
	before := heap()
	for _, name := range []string{"afterspan.task.duration", "afterspan.task.queue.duration"} {
		points := tel.histogram(t, name).DataPoints
		assert.Len(t, points, limit, name)
		overflow := uint64(0)
		for _, point := range points {
			if point.Attributes.HasValue("otel.metric.overflow") {
				overflow = point.Count
			}
		}
		assert.EqualValues(t, 5000-limit+1, overflow, name)
	}
	assert.Zero(t, tel.active(t))
	run(5000, 15_000)
	assert.Less(t, heap(), before+2<<20, "bytes")
	runtime.KeepAlive(m) // and what it keeps
	assert.Zero(t, tel.active(t))
}

// A name that is over the limit of what is kept is counted as the others are.
func TestNamesThatAreNotKeptAreCountedAlike(t *testing.T) {
	tel := newTelemetry(t)
	m := tel.manager(noTraces)
	for round := range 2 {
		for i := range 1500 {
			m.Go(context.Background(), fmt.Sprint("job ", i), succeed)
		}
		require.NoError(t, m.Wait(t.Context()))
		points := tel.histogram(t, "afterspan.task.duration").DataPoints
		require.Len(t, points, 1500)
		for _, point := range points {
			assert.EqualValues(t, round+1, point.Count)
			attrs := values(t, point.Attributes.ToSlice())
			assert.Equal(t, "completed", attrs["afterspan.task.outcome"])
			assert.Len(t, attrs, 2)
		}
	}
	assert.Zero(t, tel.active(t))
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
