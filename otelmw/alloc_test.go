package otelmw_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// What is off costs next to nothing: a budget, so that it stays so. The manager's own allocations are not in here.
func TestAllocationsWhenOff(t *testing.T) {
	tel := newTelemetry(t)
	traced, agent := tel.start("agent")
	defer agent.End()
	inRemote, _ := remote(trace.FlagsSampled)
	off := []otelmw.Option{noTraces, noMetrics}
	requireAllocations(t, []allocations{
		{"no-op", context.Background(), off, nil, 0},
		{"no-op, with a spawner", traced, off, nil, 1},
		{"no-op, remote spawner", inRemote, off, nil, 0},
		{"filtered", context.Background(), []otelmw.Option{filtered}, nil, 1},
		{"filtered, with a spawner", traced, []otelmw.Option{filtered}, nil, 1},
	})
}

// With a span most is the SDK's. Ours are, for any span: the context, what the span starts with, the option of the attributes,
// and the copy of the task's own; for a link its option, and the text of the ids; and three for a span "spawn NAME".
func TestAllocationsOfASpan(t *testing.T) {
	sampled, unsampled := samplesAll(), samplesNone()
	traces := []otelmw.Option{otelmw.WithTracerProvider(sampled), noMetrics}
	attrs := []core.TaskOption{core.WithAttrs(slog.String("thread_id", "t-1"), slog.Int("attachments", 3), slog.Bool("retry", true))}
	more := append(attrs, core.WithTimeout(time.Minute), core.WithAttrs(slog.Int("a", 1), slog.Int("b", 2), slog.Int("c", 3),
		slog.Int("d", 4), slog.Int("e", 5)))
	requireAllocations(t, []allocations{
		{"unsampled", underASpan(unsampled), []otelmw.Option{otelmw.WithTracerProvider(unsampled), noMetrics}, attrs, 12},
		{"sampled", underASpan(sampled), traces, attrs, 30},
		{"sampled, without spawn span", underASpan(sampled), append(traces, otelmw.WithoutSpawnSpan()), attrs, 20},
		{"sampled, without a spawner", context.Background(), traces, nil, 11},
		{"more attributes than most have", context.Background(), traces, more, 16},
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
