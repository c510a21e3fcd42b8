package otelmw_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// With no-op providers there is no hook that could cost anything.
func TestNoopProvidersLeaveNoHooks(t *testing.T) {
	mw := otelmw.New(noTraces, noMetrics)
	assert.Nil(t, mw.Spawn)
	assert.Nil(t, mw.Wrap)
	assert.Nil(t, mw.Refused)
	assert.Nil(t, mw.Ended)
	assert.Nil(t, mw.Abandoned)
}

// A filtered task costs the note that it is filtered. The manager's own allocations are not in here.
func TestAllocationsOfAFilteredTask(t *testing.T) {
	tel := newTelemetry(t)
	traced, agent := tel.start("agent")
	defer agent.End()
	requireAllocations(t, []allocations{
		{"filtered", context.Background(), []otelmw.Option{filtered}, nil, 2},
		{"filtered, with a spawner", traced, []otelmw.Option{filtered}, nil, 2},
	})
}

// Most allocations of a span are the SDK's. These are budgets, so that ours stay few.
func TestAllocationsOfASpan(t *testing.T) {
	sampled, unsampled := samplesAll(), samplesNone()
	traces := []otelmw.Option{otelmw.WithTracerProvider(sampled), noMetrics}
	attrs := []core.TaskOption{core.WithAttrs(slog.String("thread_id", "t-1"), slog.Int("attachments", 3), slog.Bool("retry", true))}
	more := append(attrs, core.WithTimeout(time.Minute), core.WithAttrs(slog.Int("a", 1), slog.Int("b", 2), slog.Int("c", 3),
		slog.Int("d", 4), slog.Int("e", 5)))
	requireAllocations(t, []allocations{
		{"unsampled", underASpan(unsampled), []otelmw.Option{otelmw.WithTracerProvider(unsampled), noMetrics}, attrs, 16},
		{"sampled", underASpan(sampled), traces, attrs, 35},
		{"sampled, without spawn span", underASpan(sampled), append(traces, otelmw.WithoutSpawnSpan()), attrs, 25},
		{"sampled, without a spawner", context.Background(), traces, nil, 15},
		{"more attributes than most have", context.Background(), traces, more, 19},
	})
}

type allocations struct {
	name string
	ctx  context.Context
	opts []otelmw.Option
	task []core.TaskOption
	most float64
}

func requireAllocations(t *testing.T, tests []allocations) {
	t.Helper()
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mw := otelmw.New(test.opts...)
			run := mw.Wrap(func(context.Context, *core.Task) error { return nil })
			task := core.NewTask("job", test.task...)
			got := testing.AllocsPerRun(500, func() { _ = run(mw.Spawn(test.ctx, task), task) })
			assert.LessOrEqual(t, got, test.most)
		})
	}
}
