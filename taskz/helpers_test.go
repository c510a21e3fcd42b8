package taskz_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// A service is a manager with its page.
type service struct {
	t       *testing.T
	page    *taskz.Page
	tasks   *core.Manager
	handler http.Handler
}

// newService returns a manager that logs to nowhere but the page.
func newService(t *testing.T, opts ...any) *service {
	t.Helper()
	var pageOpts []taskz.Option
	var coreOpts []core.Option
	for _, opt := range opts {
		switch opt := opt.(type) {
		case taskz.Option:
			pageOpts = append(pageOpts, opt)
		case core.Option:
			coreOpts = append(coreOpts, opt)
		default:
			t.Fatalf("no option: %T", opt)
		}
	}
	s := &service{t: t, page: taskz.New(pageOpts...)}
	coreOpts = append(coreOpts, core.WithMiddleware(s.page.Middleware()), core.WithLogger(slog.New(slog.DiscardHandler)))
	s.tasks = core.New(coreOpts...)
	s.handler = s.page.Handler(s.tasks)
	return s
}

// run runs a task to its end.
func (s *service) run(name string, fn core.Func, opts ...core.TaskOption) *core.Task {
	s.t.Helper()
	task := s.tasks.Go(context.Background(), name, fn, opts...)
	<-task.Done()
	return task
}

func (s *service) start(name string, fn core.Func, opts ...core.TaskOption) *core.Task {
	return s.tasks.Go(context.Background(), name, fn, opts...)
}

// request sends a request without a network. headers are keys and values in turn.
func (s *service) request(method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *service) get(target string, headers ...string) *httptest.ResponseRecorder {
	return s.request(http.MethodGet, "/debug/tasks/"+target, nil, headers...)
}

func (s *service) post(target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
	return s.request(http.MethodPost, "/debug/tasks/"+target, strings.NewReader(form.Encode()), headers...)
}

// object is a JSON object.
type object = map[string]any

// json returns the JSON at target. It lets a second pass first, since answers are shared that long.
func (s *service) json(target string) object {
	s.t.Helper()
	w := s.get(target, "Accept", "application/json")
	require.Equal(s.t, http.StatusOK, w.Code, w.Body)
	var o object
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &o))
	return o
}

// at returns what is at a path of keys in an object.
func at(o any, path ...string) any {
	for _, key := range path {
		o = o.(object)[key]
	}
	return o
}

// names returns the names of the tasks of a list.
func names(list any) (names []string) {
	for _, t := range at(list, "tasks").([]any) {
		names = append(names, at(t, "name").(string))
	}
	return names
}

// first returns the first task of a list.
func first(t *testing.T, list any) object {
	t.Helper()
	tasks := at(list, "tasks").([]any)
	require.NotEmpty(t, tasks)
	return tasks[0].(object)
}

// bubble runs a test with a fake clock. It fails if a goroutine is left behind.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// What sleeps when a test fails early would end the whole run with a panic.
		t.Cleanup(func() {
			if t.Failed() {
				time.Sleep(10_000 * time.Hour)
			}
		})
		test(t)
	})
}

// inBubble runs one case of a table in a bubble of its own.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { bubble(t, test) })
}

var errTask = errors.New("smtp: 550 mailbox unavailable")

func succeed(context.Context) error { return nil }

func fail(context.Context) error { return errTask }

// obey ends as soon as its context is done.
func obey(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// during takes d, whatever becomes of its context.
func during(d time.Duration) core.Func {
	return func(context.Context) error { time.Sleep(d); return nil }
}

func order(id string) core.TaskOption { return core.WithAttrs(slog.String("order_id", id)) }

// secret keeps itself out of everything that is read by people.
type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }
