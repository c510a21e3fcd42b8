package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

var usualTasks = []string{"send_receipt", "warm_cache", "notify", "award_points"}

// The client hangs up without waiting for the answer. The request's trace has, for each task, a span that leads to it; the task
// ends in a trace of its own, after the request, and leads back.
func TestTasksOutliveTheirRequest(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startService(t, r)
	const traceID, spanID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	hangUp(t, p, "o-1", fmt.Sprintf("traceparent: 00-%s-%s-01\r\n", traceID, spanID))
	p.await(func(l line) bool { return l.msg() == "receipt sent" })
	p.stop()

	request := r.one("POST /orders")
	assert.Equal(t, traceID, text(request.GetTraceId()), "the trace of the client")
	assert.Equal(t, spanID, text(request.GetParentSpanId()))
	for _, name := range usualTasks {
		spawn, task := r.one("spawn "+name), r.one(name)
		assert.Equal(t, request.GetSpanId(), spawn.GetParentSpanId(), name)
		assert.Equal(t, request.GetTraceId(), spawn.GetTraceId(), name)
		assert.NotEqual(t, request.GetTraceId(), task.GetTraceId(), name)
		assert.Empty(t, task.GetParentSpanId(), name)
		assert.True(t, linksTo(task, spawn), name)
		assert.True(t, linksTo(spawn, task), name)
		assert.Equal(t, traceID, attr(task.GetAttributes(), "afterspan.spawner.trace_id"), name)
		assert.Equal(t, "completed", attr(task.GetAttributes(), "afterspan.task.outcome"), name)
		assert.Equal(t, "o-1", attr(task.GetAttributes(), "order_id"), name)
	}
	assert.Greater(t, r.one("send_receipt").GetEndTimeUnixNano(), request.GetEndTimeUnixNano())
	assert.Subset(t, []string{"orders"}, r.services)
}

// hangUp sends an order, and closes the connection without reading a byte of the answer.
func hangUp(t *testing.T, p *process, id, headers string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.public, "http://"))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetLinger(0)) // with a reset, as a client that crashes does
	body := fmt.Sprintf(`{"id":%q}`, id)
	_, err = fmt.Fprintf(conn, "POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n%s\r\n%s", len(body), headers, body)
	require.NoError(t, err)
	// The reset would overtake what the service has not read yet, so the order has to have arrived.
	p.await(func(l line) bool { return l.msg() == "order taken" && l["order_id"] == id })
	require.NoError(t, conn.Close())
}

// The notification is a request of its own, to another service: that continues the trace of the task.
func TestTraceGoesOnAtThePartner(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startService(t, r, "-work", "1ms")
	p.order("o-1", "")
	p.await(func(l line) bool { return l.task("name") == "notify" && l.task("outcome") == "completed" })
	p.stop()

	task, client, server := r.one("notify"), r.one("HTTP POST"), r.one("POST /notifications")
	assert.Equal(t, task.GetSpanId(), client.GetParentSpanId())
	assert.Equal(t, client.GetSpanId(), server.GetParentSpanId())
	assert.Equal(t, task.GetTraceId(), server.GetTraceId())
}

// What goes wrong in a task is in its span, and the customer's answer is the same.
func TestTrouble(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startService(t, r, "-work", "1ms", "-notify-timeout", "1s")
	for _, tt := range []struct {
		what                     trouble
		task, outcome, errorType string
	}{
		{silent, "notify", "timed_out", "timeout"},
		{declined, "award_points", "failed", "points_declined"},
		{broken, "award_points", "failed", "panic"},
	} {
		answer := p.order("o-"+string(tt.what), tt.what)
		assert.Len(t, answer.Tasks, len(usualTasks))
		p.await(func(l line) bool {
			return l["order_id"] == answer.OrderID && l.task("name") == tt.task && l.task("outcome") == tt.outcome
		})
	}
	p.stop()

	ended := map[string]string{}
	for _, s := range r.taskSpans() {
		if s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			attrs := s.GetAttributes()
			ended[attr(attrs, "order_id")] = s.GetName() + " " + attr(attrs, "afterspan.task.outcome") + " " + attr(attrs, "error.type")
		}
	}
	assert.Equal(t, map[string]string{
		"o-silent":   "notify timed_out timeout",
		"o-declined": "award_points failed points_declined",
		"o-panic":    "award_points failed panic",
	}, ended)
}

// An order whose receipt was refused is not taken, and the log has it by its id.
func TestFullServiceRefusesTasksAndSaysSo(t *testing.T) {
	t.Parallel()
	p := startService(t, nil, "-running", "1", "-queued", "1", "-work", "1ms")
	p.order("o-1", slow)
	states := map[string]int{}
	status, answer := p.post("o-2", "")
	for _, task := range answer.Tasks {
		states[task.State]++
	}
	assert.Equal(t, map[string]int{"rejected": 4}, states)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	p.await(func(l line) bool { return l.msg() == "order refused" && l["order_id"] == "o-2" })
	status, body := p.get("/debug/tasks/?format=json")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `"running":1,"queued":1`)
	assert.Contains(t, body, `"context":{"order_id":"o-1"}`)
}

func TestBadOrder(t *testing.T) {
	t.Parallel()
	p := startService(t, nil)
	for _, body := range []string{"", "{}", "[", `{"id":"` + strings.Repeat("x", 1<<17) + `"}`, `{"id":"` + strings.Repeat("x", maxID+1) + `"}`} {
		response, err := http.Post(p.public+"/orders", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusBadRequest, response.StatusCode)
	}
	p.stop()
}

// Whatever a client calls the service, the metrics of its requests are one time series.
func TestAClientMakesNoTimeSeries(t *testing.T) {
	t.Parallel()
	p := startService(t, nil, "-work", "1ms")
	for i := range 20 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.public+"/orders", strings.NewReader(`{"id":"o-1"}`))
		require.NoError(t, err)
		request.Host = fmt.Sprintf("host-%d.example", i)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
	assert.Len(t, p.scrape()["http_server_request_duration_seconds"].GetMetric(), 1)
}
