package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// doomedVar has the address that the process exports to which TestTaskOfAKilledProcess kills.
const doomedVar = "AFTERSPAN_TEST_DOOMED"

func TestMain(m *testing.M) {
	if endpoint := os.Getenv(doomedVar); endpoint != "" {
		doomed(endpoint)
	}
	os.Exit(m.Run())
}

// doomed starts, in a request that is soon over, a task that goes on. It does not return.
func doomed(endpoint string) {
	ctx := context.Background()
	tp, err := newTracerProvider(ctx, options{endpoint: endpoint, share: 1})
	if err != nil {
		panic(err)
	}
	tasks := core.New(core.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(tp), otelmw.WithSpawnSpanHold(10*time.Millisecond))))
	request, span := tp.Tracer(scopeName).Start(ctx, "request")
	tasks.Go(request, "stuck", untilDone)
	span.End()
	for { // until it is killed
		_ = tp.ForceFlush(ctx)
		_, _ = http.Get(endpoint) // takes its time, so that this loop is not hot
	}
}

// A process that is killed takes the span of a task that still runs with it. The trace of the request has the task.
func TestTaskOfAKilledProcess(t *testing.T) {
	j := startJaeger(t)
	process := exec.Command(os.Args[0]) //nolint:gosec // itself
	process.Env = append(os.Environ(), doomedVar+"="+j.otlp)
	require.NoError(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill() })
	pending := map[string]string{"afterspan.task.outcome": "pending"}
	request := j.search(t, "spawn stuck", pending, 1)[0]
	require.NoError(t, process.Process.Kill())
	require.Error(t, process.Wait())

	request = j.get(t, "/api/traces/"+request.TraceID, nil, 1)[0]
	assert.ElementsMatch(t, []string{"request", "spawn stuck"}, request.names())
	spawn := request.one(t, "spawn stuck")
	assert.Len(t, spawn.references(followsFrom), 1, "a link to a span that will never come")
	assert.LessOrEqual(t, spawn.end(), request.root(t).end()+1) // Jaeger rounds start and duration
	j.search(t, "stuck", nil, 0)
}
