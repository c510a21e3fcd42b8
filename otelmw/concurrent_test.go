package otelmw_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// Many tasks at once, for -race, and for what one might have of another.

func TestTasksOfManySpawnersConcurrentSafe(t *testing.T) {
	const spawners, each = 20, 50
	tel := newTelemetry(t)
	// One slice for all, in an order that a Set would change, and with room for an append.
	shared := append(make([]attribute.KeyValue, 0, 8),
		attribute.String("zone", "1"), attribute.String("region", "eu"), attribute.String("app", "mail"))
	give := func(context.Context, *core.Task) []attribute.KeyValue { return shared }
	m := tel.manager(otelmw.WithAttributesFunc(give), otelmw.WithMetricAttributesFunc(give),
		otelmw.WithAttributes(shared...), otelmw.WithBaggageKeys("tenant"))
	sharedAttrs := []slog.Attr{slog.Group("g", "a", 1, "b", 2)}

	var wg sync.WaitGroup
	for i := range spawners {
		wg.Go(func() {
			ctx, agent := tel.start("agent")
			defer agent.End()
			for j := range each {
				id := fmt.Sprintf("%d-%d", i, j)
				m.Go(ctx, "job", func(ctx context.Context) error {
					trace.SpanFromContext(ctx).SetAttributes(attribute.String("inside", id))
					return nil
				}, core.WithAttrs(sharedAttrs...), core.WithAttrs(slog.String("id", id),
					slog.String("spawner", agent.SpanContext().SpanID().String())))
			}
		})
	}
	wg.Wait()
	tel.wait(t, m)

	spawns := map[trace.SpanID]sdktrace.ReadOnlySpan{}
	for _, s := range tel.spans("spawn job") {
		spawns[s.SpanContext().SpanID()] = s
	}
	require.Len(t, spawns, spawners*each)
	seen := map[any]bool{}
	for _, job := range tel.spans("job") {
		attrs := foreign(t, job)
		assert.Equal(t, attrs["id"], attrs["inside"])
		assert.Equal(t, attrs["spawner"], attrs["afterspan.spawner.span_id"])
		require.Len(t, linked(t, job), 1)
		spawn := spawns[linked(t, job)[0].SpanID()]
		require.NotNil(t, spawn)
		assert.Equal(t, []trace.SpanContext{job.SpanContext()}, linked(t, spawn))
		assert.Equal(t, attrs["spawner"], spawn.Parent().SpanID().String())
		seen[attrs["id"]] = true
	}
	assert.Len(t, seen, spawners*each)
	assert.Zero(t, tel.active(t))
	points := tel.histogram(t, "afterspan.task.duration").DataPoints
	require.Len(t, points, 1)
	assert.EqualValues(t, spawners*each, points[0].Count)
	assert.Equal(t, "zone", string(shared[0].Key), "the slice is as it was")
	assert.Empty(t, shared[:4][3].Key, "also behind its end")
}

// All kinds of tasks at once, while metrics are collected.
func TestEveryWayOutConcurrentSafe(t *testing.T) {
	const tasks = 300
	tel := newTelemetry(t)
	m := newManager(core.WithMiddleware(retry(1), tel.middleware(filterOut("filtered"))), core.WithLimit(4, -1))
	fns := []core.Func{
		succeed, fail, func(context.Context) error { panic("boom") },
		func(context.Context) error { runtime.Goexit(); return nil },
	}
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for range 20 {
			tel.active(t)
		}
	}()
	var handles []*core.Task
	for i := range tasks {
		ctx, agent := tel.start("agent")
		name := []string{"job", "job", "filtered"}[i%3]
		handles = append(handles, m.Go(ctx, name, fns[i%len(fns)]))
		if i%10 == 0 {
			handles[i/2].Cancel()
		}
		agent.End()
	}
	tel.wait(t, m)
	<-collected
	recorded, dequeued := 0, 0
	for _, task := range handles {
		if task.Name() == "job" {
			recorded++
			if task.StartedAt().IsZero() {
				dequeued++
			}
		}
	}
	require.Equal(t, tasks*2/3, recorded)
	assert.Len(t, tel.spans("job"), recorded-dequeued, "a task that never started has no span of its own")
	assert.Len(t, tel.spans("spawn job"), recorded)
	assert.Zero(t, tel.active(t))
	var count uint64
	for _, point := range tel.histogram(t, "afterspan.task.duration").DataPoints {
		count += point.Count
	}
	assert.EqualValues(t, recorded-dequeued, count)
}
