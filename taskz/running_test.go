package taskz_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// What runs and waits.

func TestStatesOfATask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, core.WithLimit(1, 1))
		s.start("deaf", during(time.Minute), core.WithTimeout(10*time.Second))
		s.start("waiting", succeed)
		synctest.Wait()

		time.Sleep(4 * time.Second)
		got := s.json("1")
		require.Equal(t, "running", got["state"])
		require.Equal(t, 4.0, got["age_seconds"])
		require.Equal(t, 4.0, got["run_seconds"])
		require.Equal(t, 10.0, got["timeout"])
		require.Equal(t, false, got["done"])
		got = s.json("2")
		require.Equal(t, "queued", got["state"])
		require.Equal(t, 4.0, got["queue_seconds"])
		require.Nil(t, got["run_seconds"])

		time.Sleep(7 * time.Second)
		require.Equal(t, "cancelling", s.json("1")["state"])
		require.Equal(t, "timeout", s.json("1")["cause"])
		time.Sleep(6 * time.Second)
		require.Equal(t, "cancelling", s.json("1")["state"], "as core has it")
		require.Equal(t, true, s.json("1")["overdue"])
		require.Regexp(t, `(?m)^state +overdue$`, s.get("1").Body.String())
		require.Regexp(t, `(?m)^1 +deaf +overdue `, s.get("").Body.String())
		task := first(t, s.json("?state=overdue")["running"])
		require.Equal(t, []any{"cancelling", true}, []any{task["state"], task["overdue"]})
		require.EqualValues(t, 1, at(s.json(""), "stats", "overdue"))

		require.NoError(t, s.tasks.Wait(t.Context()))
		require.Equal(t, "completed", s.json("1")["state"])
		require.Equal(t, 60.0, s.json("2")["queue_seconds"])
	})
}

// many starts tasks of every state: two run, one is cancelled, one is overdue, one waits.
func many(t *testing.T, opts ...any) *service {
	t.Helper()
	s := newService(t, append(opts, core.WithLimit(4, 10))...)
	late := s.start("reserve", during(time.Hour), order("o-1"), core.WithTimeout(time.Second))
	time.Sleep(10 * time.Second)
	s.start("send", during(time.Hour), order("o-22"), core.WithTimeout(2*time.Hour))
	time.Sleep(time.Second)
	s.start("index", during(time.Hour), order("o-3"), core.WithTimeout(30*time.Minute))
	time.Sleep(time.Second)
	stopping := s.start("send", during(time.Hour), order("o-4"))
	time.Sleep(time.Second)
	s.start("send", during(time.Hour), order("o-5"))
	synctest.Wait()
	stopping.Cancel()
	require.NotNil(t, late)
	return s
}

func TestFilterAndSort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := many(t, taskz.WithRecent(100, 24*time.Hour))
		for query, want := range map[string][]string{
			"":                               {"o-1", "o-22", "o-3", "o-4", "o-5"},
			"sort=-age":                      {"o-5", "o-4", "o-3", "o-22", "o-1"},
			"sort=name":                      {"o-3", "o-1", "o-22", "o-4", "o-5"},
			"sort=-name":                     {"o-5", "o-4", "o-22", "o-1", "o-3"},
			"sort=timeout":                   {"o-1", "o-3", "o-22", "o-4", "o-5"},
			"sort=state":                     {"o-1", "o-4", "o-22", "o-3", "o-5"},
			"name=send":                      {"o-22", "o-4", "o-5"},
			"name=sen":                       {},
			"state=queued":                   {"o-5"},
			"state=running":                  {"o-22", "o-3"},
			"state=cancelling":               {"o-1", "o-4"},
			"state=overdue":                  {"o-1"},
			"q=SEN":                          {"o-22", "o-4", "o-5"},
			"q=order_id%3Do-2":               {"o-22"},
			"q=send+o-5":                     {"o-5"},
			"q=3":                            {"o-3"},
			"q=%232":                         {"o-22"},
			"q=nothing":                      {},
			"limit=2":                        {"o-1", "o-22"},
			"limit=0":                        {},
			"name=send&sort=-age&limit=1":    {"o-5"},
			"q=" + url.QueryEscape("  o-4 "): {"o-4"},
		} {
			got := []string{}
			list := at(s.json("?"+query), "running")
			for _, task := range at(list, "tasks").([]any) {
				got = append(got, at(task, "context", "order_id").(string))
			}
			require.Equal(t, want, got, query)
			require.EqualValues(t, 5, at(list, "total"), query)
		}
		require.NoError(t, s.tasks.Wait(t.Context()))
		time.Sleep(time.Second)
		require.Len(t, names(at(s.json("?q=o-22"), "ended", "completed")), 1, "ended ones are filtered as well")
	})
}

func TestNamesAreGrouped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := many(t)
		got := map[string]object{}
		for _, n := range s.json("")["names"].([]any) {
			got[at(n, "name").(string)] = n.(object)
		}
		require.Len(t, got, 3)
		require.Equal(t, []any{1.0, 0.0, 1.0}, []any{got["reserve"]["running"], got["reserve"]["queued"], got["reserve"]["overdue"]})
		require.Equal(t, []any{2.0, 1.0, 0.0}, []any{got["send"]["running"], got["send"]["queued"], got["send"]["overdue"]})
		require.Equal(t, 3.0, got["send"]["oldest_seconds"], "of the oldest")
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// Tasks with very many names neither grow the page nor hide that it cut.
func TestVeryManyNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		release := make(chan struct{})
		for i := range 500 {
			s.start(fmt.Sprint("name-", i), func(context.Context) error { <-release; return nil })
		}
		all := s.json("")
		require.Len(t, all["names"], 100)
		require.EqualValues(t, 400, all["names_cut"])
		close(release)
		require.NoError(t, s.tasks.Wait(t.Context()))
		time.Sleep(time.Second)
		require.Len(t, s.json("")["names"], 65, "64 and the others")
	})
}

// A name is found, and cancelled, as it is shown: also one that is cut, or that is not text.
func TestNamesAreComparedAsTheyAreShown(t *testing.T) {
	for label, name := range map[string]string{
		"long": strings.Repeat("long", 100), "at the limit": strings.Repeat("ä", 64) + "x", "not UTF-8": "a\xff\xfeb",
		"long and not UTF-8": strings.Repeat("\xffx", 100), "control characters": "a\nb\u202ec",
	} {
		inBubble(t, label, func(t *testing.T) {
			s := newService(t, taskz.WithCancel())
			release := make(chan struct{})
			task := s.start(name, func(ctx context.Context) error { <-release; return context.Cause(ctx) })
			s.start("other", during(time.Hour))
			synctest.Wait()
			shown := names(s.json("")["running"])[0]
			require.Less(t, len(shown), 300)
			inText := regexp.MustCompile(`(?m)^1 +(.*?) +running`).FindStringSubmatch(s.get("").Body.String())[1]
			for _, asked := range []string{shown, inText} {
				time.Sleep(time.Second)
				query := "?name=" + url.QueryEscape(asked)
				require.Equal(t, []string{shown}, names(s.json(query)["running"]))
			}
			require.Equal(t, http.StatusConflict, s.post("cancel", url.Values{"name": {"other"}, "id": {"1"}}).Code)
			require.Equal(t, http.StatusOK, s.post("cancel", url.Values{"name": {inText}, "id": {"1"}}).Code)
			require.JSONEq(t, `{"cancelled":1}`, s.post("cancel", url.Values{"name": {shown}}).Body.String())
			close(release)
			<-task.Done()
			for _, asked := range []string{shown, inText} {
				time.Sleep(time.Second)
				require.Equal(t, []string{shown}, names(at(s.json("?name="+url.QueryEscape(asked)), "ended", "cancelled")))
			}
			require.NoError(t, s.tasks.Wait(t.Context()))
		})
	}
}

// Names that are shown alike are one name.
func TestNamesThatAreShownAlike(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		s.start("a\xff", during(time.Minute))
		s.start("a\xfe", during(time.Minute))
		s.run("a\xfe", succeed)
		synctest.Wait()
		all := s.json("")["names"].([]any)
		require.Len(t, all, 1)
		require.EqualValues(t, 2, at(all[0], "running"))
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

func TestTraces(t *testing.T) {
	traceID := func(ctx context.Context, task *core.Task) string {
		if task.Name() == "crash" {
			panic("a bug")
		}
		id, _ := ctx.Value(traceKey{}).(string)
		return id
	}
	traced := core.Middleware{Spawn: func(ctx context.Context, task *core.Task) context.Context {
		return context.WithValue(ctx, traceKey{}, fmt.Sprintf("id/%d", task.ID()))
	}}
	bubble(t, func(t *testing.T) {
		s := newService(t, core.WithMiddleware(traced), taskz.WithTraceID(traceID), taskz.WithTraceURL("http://traces/{trace_id}?x"))
		s.start("send", during(time.Minute))
		s.start("crash", during(time.Minute))
		synctest.Wait()
		require.Equal(t, "http://traces/id%2F1?x", s.json("1")["trace_url"], "while it runs")
		require.Equal(t, "id/1", first(t, s.json("")["running"])["trace_id"])
		require.NotContains(t, s.json("2"), "trace_id")
		require.NoError(t, s.tasks.Wait(t.Context()))
		require.Equal(t, "id/1", s.json("1")["trace_id"], "and after it")
		require.NotContains(t, s.json("2"), "trace_id")
	})
}

// An id stays one part of the address, be it in its path or in its query.
func TestTraceIDsAreEscaped(t *testing.T) {
	traceID := taskz.WithTraceID(func(context.Context, *core.Task) string { return "a b&c=d/e+f#g?" })
	for template, want := range map[string]string{
		"http://traces/{trace_id}/x":      "http://traces/a%20b%26c%3Dd%2Fe%2Bf%23g%3F/x",
		"http://traces/?id={trace_id}&x=": "http://traces/?id=a%20b%26c%3Dd%2Fe%2Bf%23g%3F&x=",
	} {
		s := newService(t, traceID, taskz.WithTraceURL(template))
		s.run("send", succeed)
		require.Equal(t, want, s.json("1")["trace_url"])
	}
}

type traceKey struct{}

// The context of a task is let go when the task ends, also after a burst that made the page's tables large.
func TestTracesOfManyTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, taskz.WithTraceID(func(_ context.Context, task *core.Task) string { return fmt.Sprint("t", task.ID()) }))
		release := make(chan struct{})
		for range 40_000 {
			s.start("x", func(context.Context) error { <-release; return nil }, core.WithAttrs(slog.Int("n", 1)))
		}
		synctest.Wait()
		require.Equal(t, "t40000", s.json("40000")["trace_id"])
		close(release)
		require.NoError(t, s.tasks.Wait(t.Context()))
		task := s.start("x", during(time.Second))
		synctest.Wait()
		require.Equal(t, "t40001", s.json(fmt.Sprint(task.ID()))["trace_id"])
		<-task.Done()
	})
}
