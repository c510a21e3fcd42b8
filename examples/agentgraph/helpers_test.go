package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/publisher"
)

// testSources are what the agent answers from in tests.
var testSources = fstest.MapFS{
	"kettle.go": {Data: []byte(`package kettle

// Boil heats the water. It whistles when it is done.
func Boil() {}

// Pour empties the kettle.
func Pour() {}
`)},
	"kettle_test.go": {Data: []byte("package kettle\n\nfunc TestBoil() {}\n")},
}

const (
	testQuestion = "What does Boil do?"
	testAnswer   = "Boil, a func at kettle.go:4. Boil heats the water."
)

// sink is a publisher that keeps the events in the order in which they arrive.
type sink struct {
	mu     sync.Mutex
	events []publisher.Event
}

func (s *sink) Publish(_ context.Context, e publisher.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return nil
}

func (s *sink) arrived() []publisher.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// transport answers the notifications of a test that needs no socket.
type transport func(*http.Request) error

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	if err := f(r); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// fixture is a graph, and all that it leaves behind.
type fixture struct {
	*compiled
	spans   *tracetest.InMemoryExporter
	metrics *sdkmetric.ManualReader
	sink    *sink
	logs    *bytes.Buffer // read it after the close
}

// newFixture compiles a graph that thinks no time and whose notifications arrive at once, unless change says otherwise.
func newFixture(t *testing.T, change func(*config)) fixture {
	t.Helper()
	f := fixture{
		spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader(), sink: new(sink), logs: new(bytes.Buffer),
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(f.spans))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(f.metrics))
	tasks := coretest.New(t, coretest.AllowFailures(), core.WithShutdownTimeout(30*time.Second),
		core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp), otelmw.WithMeterProvider(mp))),
		core.WithLogger(slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelWarn}))),
	)
	c := config{
		sources: testSources, publisher: f.sink, notifyURL: "http://webhook.test", notifyTimeout: 10 * time.Second,
		client: &http.Client{Transport: transport(func(*http.Request) error { return nil })},
		tracer: tp.Tracer(scopeName), meter: mp.Meter(scopeName),
	}
	if change != nil {
		change(&c)
	}
	var err error
	f.compiled, err = compile(core.NewContext(t.Context(), tasks), c)
	require.NoError(t, err)
	return f
}

// ask invokes the graph, which must succeed.
func (f fixture) ask(t *testing.T, ctx context.Context) {
	t.Helper()
	result, err := f.Invoke(ctx, "thread-1", testQuestion)
	require.NoError(t, err)
	require.Equal(t, testAnswer, result.Text)
}

// close closes the graph, which must succeed, and checks that its figures add up.
func (f fixture) close(t *testing.T) closeStats {
	t.Helper()
	stats, err := f.Close(t.Context())
	require.NoError(t, err)
	requireSums(t, stats)
	require.Zero(t, stats.BackgroundTasks.RemainingTasks)
	return stats
}

func requireSums(t *testing.T, stats closeStats) {
	t.Helper()
	s, all := stats.BackgroundTasks, stats.AllTasks
	require.Equal(t, s.InitialTasks+s.SpawnedTasks,
		s.CompletedTasks+s.FailedTasks+s.CancelledTasks+s.TimedOutTasks+s.RejectedTasks+s.RemainingTasks, "%+v", s)
	require.Equal(t, all.Created,
		all.Completed+all.Failed+all.Cancelled+all.TimedOut+all.Rejected+uint64(all.Running+all.Queued), "%+v", all)
}
