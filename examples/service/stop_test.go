package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

var parts = []string{"requests", "tasks", "partner", "ops", "telemetry"}

// stopped returns the parts that have stopped, in order.
func (p *process) stopped() (found []string) {
	for _, l := range p.log(func(l line) bool { return l.msg() == "stopped" }) {
		found = append(found, l["part"].(string))
	}
	return found
}

// SIGTERM comes while tasks run and wait. All of them finish, and their spans and logs arrive.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startService(t, r, "-running", "4", "-work", "400ms")
	const orders = 8
	for i := range orders {
		p.order("o-"+string(rune('a'+i)), "")
	}
	p.signal(syscall.SIGTERM)
	p.checkDrain()
	require.Zero(t, p.exitCode(), p.stderr.String())

	assert.Equal(t, parts, p.stopped())
	ended := p.await(func(l line) bool { return l.msg() == "shutdown of background tasks ended" })
	assert.Equal(t, "completed", ended["status"])
	assert.Greater(t, ended["completed_tasks"], 4.0)
	spans := r.taskSpans()
	assert.Len(t, spans, orders*len(usualTasks))
	for _, s := range spans {
		assert.Equal(t, "completed", attr(s.GetAttributes(), "afterspan.task.outcome"), s.GetName())
	}
	assert.Len(t, r.named("POST /orders"), orders)
	sent := 0
	for _, record := range r.allRecords() {
		if record.GetBody().GetStringValue() == "receipt sent" {
			sent++
		}
	}
	assert.Equal(t, orders, sent, "log records")
}

// checkDrain checks what others see while the tasks finish: no more requests, but health and metrics.
func (p *process) checkDrain() {
	p.t.Helper()
	p.await(func(l line) bool { return l["part"] == "requests" })
	_, err := http.Post(p.public+"/orders", "application/json", strings.NewReader(`{"id":"late"}`))
	assert.ErrorIs(p.t, err, syscall.ECONNREFUSED)
	status, _ := p.get("/healthz")
	assert.Equal(p.t, http.StatusServiceUnavailable, status)
	status, metrics := p.get("/metrics")
	assert.Equal(p.t, http.StatusOK, status)
	assert.Contains(p.t, metrics, "afterspan_manager_tasks")
}

// A client may open a connection before it needs it: that is no request to wait for.
func TestStopWithUnusedConnections(t *testing.T) {
	t.Parallel()
	p := startService(t, nil)
	for _, url := range []string{p.public, p.ops} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	p.get("/healthz") // once this and the order are answered, both connections have been accepted
	p.order("o-1", "")
	p.stop()
	assert.Equal(t, parts, p.stopped())
}

// A task that takes too long is cancelled in time to end. That is in order, and the log says what is left to do.
func TestStopCancelsWhatIsSlow(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startService(t, r, "-work", "1ms", "-stop-tasks", "400ms")
	p.order("o-1", slow)
	p.await(func(l line) bool { return l.msg() == "sending the receipt" })
	p.stop()
	assert.Equal(t, parts, p.stopped())
	lost := p.await(func(l line) bool { return l.msg() == "task to be done by hand" })
	assert.Equal(t, "send_receipt", lost["name"])
	assert.Equal(t, "o-1", lost["order_id"])
	assert.Equal(t, "cancelled", attr(r.one("send_receipt").GetAttributes(), "afterspan.task.outcome"))
}

// A task that does not look at its context holds up nothing but its own part of the stop. The exit code, the log and standard error say so, and
// all other spans arrive.
func TestTaskThatDoesNotStop(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	p := startService(t, r, "-work", "1ms", "-stop-tasks", "600ms")
	p.order("o-1", stuck)
	p.signal(syscall.SIGTERM)
	assert.Equal(t, 1, p.exitCode())

	assert.Equal(t, []string{"requests", "partner", "ops", "telemetry"}, p.stopped())
	left := p.await(func(l line) bool { return l.msg() == "background task left over at the end of the shutdown" })
	assert.Equal(t, "archive_order", left.task("name"))
	assert.Equal(t, "o-1", left["order_id"])
	assert.Contains(t, left["stack"], "archiveOrder")
	wrong := p.await(func(l line) bool { return l.msg() == "did not stop in order" })
	assert.Contains(t, wrong["error"], "left 1 task(s) running")
	assert.Contains(t, p.stderr.String(), "archive_order")

	for _, name := range append([]string{"POST /orders"}, usualTasks...) {
		r.one(name)
	}
	for _, name := range []string{"spawn archive_order", "archive_order"} { // it has not ended, and is there all the same
		assert.Equal(t, tracepb.Status_STATUS_CODE_ERROR, r.one(name).GetStatus().GetCode(), name)
	}
}

// A collector that does not answer costs its own time and no more.
func TestStopWithoutACollector(t *testing.T) {
	t.Parallel()
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then the server does not look whether the client is still there
		<-r.Context().Done()
	}))
	t.Cleanup(hangs.Close)
	p := startService(t, &receiver{server: hangs}, "-work", "1ms", "-stop-telemetry", "300ms")
	p.order("o-1", "")
	p.await(func(l line) bool { return l.msg() == "receipt sent" })
	p.signal(syscall.SIGTERM)
	assert.Equal(t, 1, p.exitCode())
	assert.Equal(t, parts[:4], p.stopped())
	assert.Contains(t, p.stderr.String(), "stopping the telemetry")
}

// Who does not want to wait sends the signal again.
func TestSecondSignalEndsTheProcess(t *testing.T) {
	t.Parallel()
	p := startService(t, nil, "-stop-tasks", "1h")
	p.order("o-1", stuck)
	p.signal(syscall.SIGTERM)
	p.await(func(l line) bool { return l.msg() == "shutdown of background tasks began" })
	p.signal(syscall.SIGTERM)
	p.exitCode()
	assert.Equal(t, syscall.SIGTERM, p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

// A port that is taken is an error at the start, and nothing is left running.
func TestPortThatIsTaken(t *testing.T) {
	t.Parallel()
	p := startService(t, nil)
	for _, flag := range []string{"-addr", "-ops-addr"} {
		other := startProcess(t, nil, "-addr", "127.0.0.1:0", "-ops-addr", "127.0.0.1:0", flag, strings.TrimPrefix(p.public, "http://"))
		assert.Equal(t, 1, other.exitCode())
		assert.Contains(t, other.stderr.String(), syscall.EADDRINUSE.Error())
		assert.Equal(t, parts, other.stopped())
	}
}
