package taskz_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// What is served, to whom, and in which form.

func TestForms(t *testing.T) {
	const html, jsonType, text = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"
	s := newService(t)
	s.run("send", succeed)
	for _, target := range []string{"", "1"} {
		for _, tc := range []struct{ format, accept, want string }{
			{"", "", text},
			{"", "*/*", text}, // curl
			{"", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", html},
			{"", "application/json", jsonType},
			{"", "application/json, text/plain, */*", jsonType},
			{"", "text/plain;q=0.5, application/json;q=0.9", jsonType},
			{"", "application/json;q=0, text/plain", text},
			{"", "application/json;q=nonsense", text},
			{"", "image/png", text},
			{"", "APPLICATION/JSON", jsonType},
			{"json", "text/html", jsonType},
			{"text", "text/html", text},
			{"html", "", html},
		} {
			w := s.get(target+"?format="+tc.format, "Accept", tc.accept)
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, tc.want, w.Header().Get("Content-Type"), "%v %v", target, tc)
			require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
			if tc.want == jsonType {
				require.True(t, json.Valid(w.Body.Bytes()))
			}
		}
		require.Equal(t, http.StatusBadRequest, s.get(target+"?format=xml").Code)
	}
}

func TestWrongRequests(t *testing.T) {
	s := newService(t)
	for target, want := range map[string]int{
		"?state=sleeping": 400, "?sort=colour": 400, "?limit=-1": 400, "?limit=1001": 400, "?limit=x": 400,
		"?q=%zz": 400, "?q=a;b": 400, "?format=html&q=%zz": 400, "1?format=json;x": 400,
		"?q=" + strings.Repeat("x", 600): 400, "nonsense": 404, "index.html": 404, "app.go": 404, "..": 404, "1": 404, "-1": 404,
		"99999999999999999999999": 404, "stack?id=1": 405, "cancel": 405,
	} {
		w := s.get(target)
		require.Equal(t, want, w.Code, target)
		require.NotEmpty(t, w.Body.String())
	}
	for target, want := range map[string]int{"stack": 400, "stack?id=x": 400, "stack?id=7": 404, "stack?id=7&format=xml": 400, "stack?id=7&leaks=%zz": 400} {
		require.Equal(t, want, s.post(target, nil).Code, target)
	}
	require.JSONEq(t, `{"error":"`+strings.TrimSpace(s.get("1").Body.String())+`"}`, s.get("1?format=json").Body.String())
	require.Equal(t, http.StatusNotFound, s.get("1", "Accept", "text/html").Code)
	require.Contains(t, s.get("1", "Accept", "text/html").Body.String(), "<!doctype html>", "a person gets a page")
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		w := s.request(method, "/debug/tasks/", nil)
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
	w := s.request(http.MethodHead, "/debug/tasks/", nil)
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String())
}

// The ids of two processes are the same, and an address of one does not show a task of the other.
func TestTaskPath(t *testing.T) {
	before, after := newService(t), newService(t)
	task := before.run("send", fail)
	require.Equal(t, task.ID(), after.run("other", succeed).ID())
	target := before.page.TaskPath(task)
	require.Equal(t, "failed", before.json(target)["state"])
	for _, format := range []string{"text", "json", "html"} {
		require.Equal(t, http.StatusOK, before.get(target+"&format="+format).Code)
		require.Equal(t, http.StatusNotFound, after.get(target+"&format="+format).Code)
	}
	require.Contains(t, after.get(target).Body.String(), "restart")
	require.NoError(t, before.tasks.Close())
	require.Empty(t, before.page.TaskPath(before.run("refused", succeed)))
}

// A browser may load what is here, and nothing else.
func TestHeaders(t *testing.T) {
	s := newService(t)
	for _, target := range []string{"", "?format=html", "?format=json", "style.css", "app.js", "icon.svg", "1", "nonsense", "stack?id=1", "cancel"} {
		h := s.get(target).Header()
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; style-src 'self'", target)
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), target)
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		require.Equal(t, "no-store", h.Get("Cache-Control"))
	}
}

// All files of the page are served, with their types, and refer to no address elsewhere.
func TestAssets(t *testing.T) {
	s := newService(t)
	files, err := os.ReadDir("assets")
	require.NoError(t, err)
	outside := regexp.MustCompile(`(src|href|import|url)\s*[=(]?\s*["']?(https?:)?//`)
	inline := regexp.MustCompile(`(?i)<script>|<style|\son[a-z]+=|\sstyle=|innerHTML|insertAdjacentHTML|document\.write|\beval\(`)
	for _, file := range files {
		body, err := os.ReadFile(path.Join("assets", file.Name()))
		require.NoError(t, err)
		require.NotRegexp(t, outside, string(body), file.Name())
		require.NotRegexp(t, inline, string(body), file.Name())
		if file.Name() == "index.html" {
			continue
		}
		w := s.get(file.Name())
		require.Equal(t, http.StatusOK, w.Code, file.Name())
		require.Equal(t, string(body), w.Body.String())
		require.Regexp(t, "^(text/(css|javascript); charset=utf-8|image/svg\\+xml)$", w.Header().Get("Content-Type"))
	}
}

// The page works wherever it is mounted, since it refers to its parts by their last name only.
func TestPrefixes(t *testing.T) {
	page := taskz.New()
	tasks := core.New(core.WithMiddleware(page.Middleware()), core.WithLogger(slog.New(slog.DiscardHandler)))
	mux := http.NewServeMux()
	mux.Handle("/debug/tasks/", page.Handler(tasks))
	mux.Handle("/stripped/", http.StripPrefix("/stripped", page.Handler(tasks)))
	mux.Handle("/v/2/", http.StripPrefix("/v/2/", page.Handler(tasks)))
	mux.Handle("/shard/7/", page.Handler(tasks))
	mux.Handle("/bare", http.StripPrefix("/bare", page.Handler(tasks)))
	mux.Handle("/bare/", http.StripPrefix("/bare", page.Handler(tasks)))
	server := httptest.NewServer(mux)
	defer server.Close()
	<-tasks.Go(t.Context(), "send", succeed).Done()
	for _, prefix := range []string{"/debug/tasks", "/stripped", "/bare", "/v/2", "/shard/7"} {
		for _, target := range []string{"", "/", "/1", "/style.css", "?format=json"} {
			response, err := server.Client().Get(server.URL + prefix + target)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode, prefix+target)
			if target == "" || target[0] == '?' {
				require.Equal(t, prefix+"/", response.Request.URL.Path)
			}
			if target != "" && target[0] == '?' {
				require.Equal(t, "application/json", response.Header.Get("Content-Type"))
			}
		}
	}
}

// A prefix may end with a number, also without a mux that says so. What goes on after the id of a task is not found.
func TestNumbersInPaths(t *testing.T) {
	page := taskz.New()
	tasks := core.New(core.WithMiddleware(page.Middleware()), core.WithLogger(slog.New(slog.DiscardHandler)))
	<-tasks.Go(t.Context(), "send", succeed).Done()
	h := page.Handler(tasks)
	mux := http.NewServeMux()
	mux.Handle("GET /debug/tasks/", h)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", h))
	mux.Handle("/shard/7/", h)
	mux.Handle("/tenant/{number}/", h)
	mux.Handle("/rest/{path...}", h)
	mux.Handle("/", h) // as a router within the mux does
	stripped := http.StripPrefix("/debug/tasks", h)
	for _, tc := range []struct {
		handler http.Handler
		found   string
		missing string
	}{
		{h, "/v/2/ /v/2/style.css /v/2/1", "/v/2"},
		{stripped, "/debug/tasks/ /debug/tasks/1", "/debug/tasks/1/ /debug/tasks/1/1 /debug/tasks/1/style.css"},
		{mux, "/debug/tasks/ /debug/tasks/1", "/debug/tasks/1/ /debug/tasks/1/1 /debug/tasks/1/style.css"},
		{mux, "/stripped/ /stripped/1", "/stripped/1/ /stripped/1/1"},
		{mux, "/shard/7/ /shard/7/1", "/shard/7/1/ /shard/7/1/1"},
		{mux, "/tenant/3/ /tenant/3/1 /rest/ /rest/1", "/rest/1/"},
		{mux, "/v/2/ /v/2/1", "/v/2"},
	} {
		for want, targets := range map[int]string{http.StatusOK: tc.found, http.StatusNotFound: tc.missing} {
			for target := range strings.FieldsSeq(targets) {
				w := httptest.NewRecorder()
				tc.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target+"?format=json", nil))
				require.Equal(t, want, w.Code, target)
			}
		}
	}
}

// Only a page that may cancel cancels, only by POST, and only what the reader has seen.
func TestCancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, taskz.WithCancel())
		a := s.start("send", obey)
		b := s.start("send", obey)
		c := s.start("index", obey)
		synctest.Wait()
		instance := s.json("")["instance"].(string)
		for _, tc := range []struct {
			form url.Values
			want int
		}{
			{url.Values{}, 400},
			{url.Values{"id": {"1"}}, 400},
			{url.Values{"id": {"x"}, "name": {"send"}}, 400},
			{url.Values{"id": {"99"}, "name": {"send"}}, 404},
			{url.Values{"id": {"1"}, "name": {"index"}}, 409},
			{url.Values{"id": {"1"}, "name": {"send"}, "instance": {"another"}}, 409},
			{url.Values{"name": {strings.Repeat("x", 5000)}}, 400},
		} {
			require.Equal(t, tc.want, s.post("cancel", tc.form).Code, tc.form)
		}
		synctest.Wait()
		require.Equal(t, 3, s.tasks.Stats().Running)

		w := s.post("cancel", url.Values{"id": {"1"}, "name": {"send"}, "instance": {instance}})
		require.JSONEq(t, `{"cancelled":1}`, w.Body.String())
		<-a.Done()
		require.Equal(t, core.Cancelled, a.Outcome())
		require.Equal(t, core.Pending, b.Outcome())

		w = s.post("cancel", url.Values{"name": {"send"}})
		require.JSONEq(t, `{"cancelled":1}`, w.Body.String())
		<-b.Done()
		require.Equal(t, core.Pending, c.Outcome(), "of another name")
		require.Equal(t, http.StatusMethodNotAllowed, s.get("cancel").Code)
		c.Cancel()
		<-c.Done()
	})
}

// A form that may have lost its id cancels nothing, neither one task nor all of the name.
func TestCancelNeedsAFormWithoutDoubt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const urlencoded, multipart = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"
		s := newService(t, taskz.WithCancel())
		s.start("send", obey)
		s.start("send", obey)
		synctest.Wait()
		for _, tc := range []struct{ target, contentType, body string }{
			{"cancel?id=1", urlencoded, "name=send"},
			{"cancel?id=%zz", urlencoded, "name=send"},
			{"cancel?name=send&id=1", urlencoded, ""},
			{"cancel?name=send", "application/json", `{"id":1}`},
			{"cancel?name=send", "text/plain", "id=1"},
			{"cancel", "application/json", `{"name":"send","id":1}`},
			{"cancel", multipart, "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nsend\r\n--x--\r\n"},
			{"cancel", urlencoded, "id="},
			{"cancel", urlencoded, "name=send&id="},
			{"cancel", urlencoded, "name=send&id"},
			{"cancel", urlencoded, "name=send&id=%zz"},
			{"cancel", urlencoded, "name=send;id=1"},
			{"cancel", urlencoded, "name=send&ID=1"},
			{"cancel", urlencoded, "name=send&task=1"},
			{"cancel", urlencoded, "name=send&id=1&id=2"},
			{"cancel", urlencoded, "name=send&name=index"},
			{"cancel", urlencoded, "name=&id=1"},
			{"cancel", urlencoded, "name=send&id=1&instance="},
			{"cancel", urlencoded, "name=send&id=-1"},
		} {
			w := s.request(http.MethodPost, "/debug/tasks/"+tc.target, strings.NewReader(tc.body), "Content-Type", tc.contentType)
			require.Equal(t, http.StatusBadRequest, w.Code, "%v", tc)
			require.Contains(t, w.Body.String(), "curl -d name=NAME -d id=42", "it says what to send")
		}
		synctest.Wait()
		for _, task := range s.tasks.Tasks() {
			require.Equal(t, "running", task.State)
		}
		require.Equal(t, 2, s.tasks.Stats().Running)
		require.NoError(t, s.tasks.Close())
	})
}

func TestReadOnlyByDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		task := s.start("send", obey)
		w := s.post("cancel", url.Values{"id": {"1"}, "name": {"send"}})
		require.Equal(t, http.StatusForbidden, w.Code)
		synctest.Wait()
		require.Equal(t, core.Pending, task.Outcome())
		require.Equal(t, false, s.json("")["can_cancel"])
		require.NoError(t, s.tasks.Close())
	})
}

// A page of another site can neither cancel, nor have the world stopped for a stack.
func TestOtherOriginsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, taskz.WithCancel())
		task := s.start("send", obey)
		synctest.Wait()
		form := url.Values{"id": {"1"}, "name": {"send"}}
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
			require.Equal(t, http.StatusForbidden, s.post("cancel", form, headers...).Code, headers)
			require.Equal(t, http.StatusForbidden, s.post("stack?id=1", nil, headers...).Code, headers)
		}
		synctest.Wait()
		require.Equal(t, core.Pending, task.Outcome())
		// Over plain http an image of another site is fetched without a word on who asks.
		require.Equal(t, http.StatusMethodNotAllowed, s.get("stack?id=1").Code)
		require.Equal(t, http.StatusMethodNotAllowed, s.request(http.MethodHead, "/debug/tasks/stack?id=1", nil).Code)
		require.Equal(t, http.StatusOK, s.post("stack?id=1", nil, "Sec-Fetch-Site", "same-origin").Code)
		require.Equal(t, http.StatusOK, s.post("cancel", form, "Sec-Fetch-Site", "same-origin").Code)
		<-task.Done()
	})
}

func TestMisusePanics(t *testing.T) {
	page := taskz.New(nil)
	for name, misuse := range map[string]func(){
		"no manager":        func() { page.Handler(nil) },
		"no handler":        func() { page.LogHandler(nil) },
		"no room":           func() { taskz.WithRecent(0, time.Minute) },
		"no time":           func() { taskz.WithRecent(1, 0) },
		"no mark":           func() { taskz.WithTraceURL("http://traces/") },
		"not a web address": func() { taskz.WithTraceURL("javascript:alert('{trace_id}')") },
		"not an address":    func() { taskz.WithTraceURL("http://[{trace_id}") },
		"relative":          func() { taskz.WithTraceURL("traces/{trace_id}") },
	} {
		require.Panics(t, misuse, name)
	}
	require.NotPanics(t, func() { taskz.WithTraceURL("/jaeger/trace/{trace_id}") })
}
