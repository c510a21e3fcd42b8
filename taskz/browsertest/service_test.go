package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// A service is a manager and its page, served under a prefix.
type service struct {
	t     *testing.T
	tasks *core.Manager
	log   *slog.Logger
	url   string // of the page
	http  *httptest.Server

	handler atomic.Pointer[http.Handler]
}

func newService(t *testing.T, opts ...taskz.Option) *service {
	t.Helper()
	page := taskz.New(append([]taskz.Option{
		taskz.WithTitle("orders"),
		taskz.WithTraceID(func(_ context.Context, task *core.Task) string { return fmt.Sprintf("%032x", task.ID()) }),
		taskz.WithTraceURL("http://traces.example/trace/{trace_id}"),
	}, opts...)...)
	s := &service{t: t, log: slog.New(page.LogHandler(slog.NewTextHandler(io.Discard, nil)))}
	s.tasks = core.New(core.WithMiddleware(page.Middleware()), core.WithLogger(s.log))
	s.answerWith(page.Handler(s.tasks))
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.handler.Load()).ServeHTTP(w, r) }))
	s.url = s.http.URL + "/debug/tasks/"
	t.Cleanup(func() {
		s.http.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = s.tasks.Shutdown(ctx)
	})
	return s
}

// answerWith makes the server answer with h from now on.
func (s *service) answerWith(h http.Handler) { s.handler.Store(&h) }

// start starts a task for an order.
func (s *service) start(name, order string, fn core.Func, opts ...core.TaskOption) *core.Task {
	return s.tasks.Go(context.Background(), name, fn, append(opts, core.WithAttrs(slog.String("order_id", order)))...)
}

// end runs a task to its end.
func (s *service) end(name, order string, fn core.Func, opts ...core.TaskOption) *core.Task {
	s.t.Helper()
	task := s.start(name, order, fn, opts...)
	<-task.Done()
	return task
}

func succeed(context.Context) error { return nil }

func failing(context.Context) error { return errors.New("smtp: 550 mailbox unavailable") }

func obey(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// until returns a Func that ends when release is closed, and does not look at its context.
func until(release <-chan struct{}) core.Func {
	return func(context.Context) error {
		<-release
		return nil
	}
}

// quote returns s as a literal of JavaScript.
func quote(s string) string {
	out, _ := json.Marshal(s)
	return string(out)
}

// release returns a channel that is closed at the end of the test at the latest.
func release(t *testing.T) (ch chan struct{}, open func()) {
	ch = make(chan struct{})
	closed := false
	open = func() {
		if !closed {
			closed = true
			close(ch)
		}
	}
	t.Cleanup(open)
	return ch, open
}

func TestTheServiceOfTheseTests(t *testing.T) {
	s := newService(t)
	require.Equal(t, core.Completed, s.end("send_receipt", "o-1", succeed).Outcome())
	require.Equal(t, core.Failed, s.end("send_receipt", "o-1", failing).Outcome())
}
