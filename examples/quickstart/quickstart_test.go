package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
	"github.com/afterspan/afterspan/otelmw"
)

// What a newcomer sees.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), "", &out))
	for _, want := range []string{
		`POST /orders answered 202 Accepted after .*: order o-7, \d tasks are running`,
		`├─ spawn write_invoice .*→ trace [0-9a-f]{8}, completed`,
		`├─ spawn update_account .*→ trace [0-9a-f]{8}, completed`,
		`├─ spawn send_receipt .*→ trace [0-9a-f]{8}, timed_out`,
		`└─ spawn award_points .*→ trace [0-9a-f]{8}, failed`,
		`└─ render invoice`,
		`error\.type=timeout  `,
		`error\.type=panic  panic: `,
		`level=ERROR msg="background task failed" task\.name=award_points`,
		`stack=tasks\.go:\d+`,
		`"status": "completed"`,
	} {
		assert.Regexp(t, regexp.MustCompile(want), out.String())
	}
}

// With an address it serves until it is told to stop, and the page has the tasks.
func TestRunServes(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		defer in.Close()
		ended <- run(ctx, "127.0.0.1:0", in)
	}()
	lines := bufio.NewScanner(out)
	url := ""
	for url == "" && lines.Scan() {
		_, url, _ = strings.Cut(lines.Text(), "The tasks: ")
	}
	response, err := http.Get(url)
	require.NoError(t, err)
	page, err := io.ReadAll(response.Body)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	assert.Contains(t, string(page), "send_receipt")
	stop()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	require.NoError(t, <-ended)
}

// newTestShop returns a shop whose spans can be looked at.
func newTestShop(t *testing.T) (*shop, *core.Manager, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	tasks := coretest.New(t, coretest.AllowFailures(), core.WithMiddleware(otelmw.New(otelmw.WithTracerProvider(tp))))
	s, err := openShop(tasks, tp.Tracer("test"))
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = tasks.Close() // the tasks use the folder
		require.NoError(t, s.close())
	})
	return s, tasks, recorder
}

func post(s *shop, order string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(order)))
	return w
}

func TestOrder(t *testing.T) {
	s, tasks, recorder := newTestShop(t)
	for _, id := range []string{"o-1", "o-2"} {
		require.Equal(t, http.StatusAccepted, post(s, `{"id":"`+id+`","customer":"ada","items":["tea","cup"]}`).Code)
	}
	require.NoError(t, tasks.Wait(t.Context()))

	account, err := os.ReadFile(s.file("account", "ada"))
	require.NoError(t, err)
	assert.Equal(t, "o-1: 2 items\no-2: 2 items\n", string(account), "in order")
	invoice, err := os.ReadFile(s.file("invoice", "o-1"))
	require.NoError(t, err)
	assert.Equal(t, "Invoice o-1 for ada\ntea\ncup\n", string(invoice))

	outcomes := map[string]string{}
	for _, span := range recorder.Ended() {
		for _, a := range span.Attributes() {
			if a.Key == "afterspan.task.outcome" {
				outcomes[span.Name()] = a.Value.AsString()
			}
		}
	}
	want := map[string]string{
		"write_invoice": "completed", "update_account": "completed", "send_receipt": "timed_out", "award_points": "failed",
	}
	for name, outcome := range want {
		assert.Equal(t, outcome, outcomes[name], name)
		assert.Equal(t, outcome, outcomes["spawn "+name], "the trace of the request says it, too")
	}
}

func TestOrderThatIsNotOne(t *testing.T) {
	s, tasks, _ := newTestShop(t)
	for _, body := range []string{"", "{", `{"id":""}`, `[]`} {
		assert.Equal(t, http.StatusBadRequest, post(s, body).Code, body)
	}
	assert.Zero(t, tasks.Stats().Created)
}

func TestOrderCannotWriteElsewhere(t *testing.T) {
	s, tasks, _ := newTestShop(t)
	require.Equal(t, http.StatusAccepted, post(s, `{"id":"../../o-1","items":["a","b"]}`).Code)
	require.NoError(t, tasks.Wait(t.Context()))
	_, err := os.Stat(s.file("order", "o-1"))
	require.NoError(t, err)
}
