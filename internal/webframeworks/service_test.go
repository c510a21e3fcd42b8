package webframeworks

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// orders are the ids of the requests of a test. They have one length, so that a request that gets the
// memory of an earlier one overwrites its id.
var orders = func() (ids []string) {
	for i := range 21 {
		ids = append(ids, fmt.Sprintf("order-%02d", i))
	}
	return ids
}()

// A service answers requests and starts tasks. All tasks wait until the server has answered the last
// request, and then run one by one. So no test here has a data race, whatever a task reads.
type service struct {
	tasks    *core.Manager
	log      bytes.Buffer
	spans    *tracetest.SpanRecorder
	traces   *sdktrace.TracerProvider
	seen     map[string]sighting // by order
	runTasks func()
	inFlight bool // the last request is answered only after the tasks have run
}

// A sighting is what the task of an order read, and the task's span.
type sighting struct {
	value string
	span  trace.SpanContext
}

// panicked is the value of a task that panicked while it read.
const panicked = "panicked"

func newService(t *testing.T) *service {
	s := &service{spans: tracetest.NewSpanRecorder(), seen: make(map[string]sighting)}
	s.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans))
	log := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.tasks = core.New(core.WithLimit(1, -1), core.WithLogger(log), core.WithMiddleware(
		otelmw.New(otelmw.WithTracerProvider(s.traces))))
	answered := make(chan struct{})
	s.tasks.Go(t.Context(), "wait", func(context.Context) error { <-answered; return nil })
	s.runTasks = sync.OnceFunc(func() {
		close(answered)
		_ = s.tasks.Wait(context.Background()) // returns errors of the context only
	})
	return s
}

// serve sends a request for each order, one after the other, and then runs the tasks.
func (s *service) serve(t *testing.T, send sender) {
	t.Helper()
	for _, order := range orders {
		response, err := send(request(t, order))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
	s.runTasks()
}

// A sender sends a request to a server.
type sender func(*http.Request) (*http.Response, error)

func request(t *testing.T, order string) *http.Request {
	t.Helper()
	url := "http://example.com/orders/" + order + "?order=" + order
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(order))
	require.NoError(t, err)
	trace := traceOf(order)
	r.Header.Set("Traceparent", "00-"+hex.EncodeToString(trace[:])+"-00000000000000ff-01")
	r.Header.Set("X-Order", order)
	r.AddCookie(&http.Cookie{Name: "order", Value: order})
	return r
}

// traceOf returns the trace of an order's request.
func traceOf(order string) (id trace.TraceID) {
	copy(id[:], order)
	return id
}

var propagator = propagation.TraceContext{}

// spawn starts the task of an order, which calls read.
func (s *service) spawn(ctx context.Context, order string, read func(context.Context) string) {
	s.tasks.Go(ctx, "send_receipt", func(ctx context.Context) error {
		s.note(ctx, order, valueOrPanic(ctx, read))
		return nil
	})
	s.spawned(order)
}

func valueOrPanic(ctx context.Context, read func(context.Context) string) (value string) {
	defer func() {
		if recover() != nil {
			value = panicked
		}
	}()
	return read(ctx)
}

// note keeps what the task of an order read.
func (s *service) note(ctx context.Context, order, value string) {
	s.seen[order] = sighting{value, trace.SpanContextFromContext(ctx)}
}

// spawned is called by a handler that has started its task.
func (s *service) spawned(order string) {
	if s.inFlight && order == orders[len(orders)-1] {
		s.runTasks()
	}
}

// key is the key of the value that a middleware puts into the context of each request: its order.
type key struct{}

func withOrder(ctx context.Context, order string) context.Context {
	return context.WithValue(ctx, key{}, strings.Clone(order))
}

// valueOf returns the value of [key].
func valueOf(ctx context.Context) string { return stringOf(ctx, key{}) }

func stringOf(ctx context.Context, key any) string {
	value, _ := ctx.Value(key).(string)
	return value
}
