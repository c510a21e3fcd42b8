package taskz_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// What is remembered of the tasks that ended.

func TestEndedTaskIsKnownByItsID(t *testing.T) {
	for name, tc := range map[string]struct {
		fn     core.Func
		opts   []core.TaskOption
		before func(*core.Task)
		want   object
	}{
		"completed": {fn: during(2 * time.Second), want: object{"state": "completed", "run_seconds": 2.0}},
		"failed":    {fn: fail, want: object{"state": "failed", "error": errTask.Error()}},
		"timed out": {
			fn: obey, opts: []core.TaskOption{core.WithTimeout(3 * time.Second)},
			want: object{"state": "timed_out", "cause": "timeout", "timeout": 3.0, "run_seconds": 3.0},
		},
		"cancelled": {fn: obey, before: (*core.Task).Cancel, want: object{"state": "cancelled", "cause": "cancel"}},
		"refused by a middleware": {
			fn:   func(context.Context) error { return nil },
			opts: []core.TaskOption{core.WithAttrs(slog.Bool("refuse", true))},
			want: object{"state": "rejected"},
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			s := newService(t, core.WithMiddleware(refusing))
			task := s.start("send_receipt", tc.fn, append(tc.opts, order("o-1"))...)
			synctest.Wait()
			if tc.before != nil {
				tc.before(task)
			}
			<-task.Done()
			got := s.json("1")
			for key, value := range tc.want {
				require.Equal(t, value, got[key], key)
			}
			require.Equal(t, true, got["done"])
			require.Equal(t, "o-1", at(got, "context", "order_id"))
			require.Equal(t, "send_receipt", got["name"])

			list := at(s.json(""), "ended", tc.want["state"].(string))
			require.EqualValues(t, 1, at(list, "total"))
			require.EqualValues(t, 1, first(t, list)["id"])
		})
	}
}

// refusing refuses the tasks that have the attribute refuse.
var refusing = core.MiddlewareFunc(func(next core.Handler) core.Handler {
	return func(ctx context.Context, t *core.Task) error {
		for _, a := range t.Attrs() {
			if a.Key == "refuse" {
				return fmt.Errorf("%w: not today", core.ErrRejected)
			}
		}
		return next(ctx, t)
	}
})

func TestPanicHasItsStack(t *testing.T) {
	s := newService(t)
	task := s.run("crash", func(context.Context) error { panic("a bug") })
	got := s.json(fmt.Sprint(task.ID()))
	require.Equal(t, "panic: a bug", got["error"])
	require.Contains(t, got["stack"], "TestPanicHasItsStack")
	require.NotContains(t, first(t, at(s.json(""), "ended", "failed")), "stack", "it is on the task's own page")

	// An error that came from another task's panic is not a panic of this one.
	other := s.run("waits", func(context.Context) error { return task.Err() })
	require.NotContains(t, s.json(fmt.Sprint(other.ID())), "stack")
}

func TestTasksThatTheManagerRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, core.WithLimit(1, 0))
		s.start("first", during(time.Minute))
		s.start("second", succeed, order("o-2"))
		list := at(s.json(""), "ended", "rejected")
		require.Equal(t, []string{"second"}, names(list))
		refused := first(t, list)
		require.EqualValues(t, 0, refused["id"], "it never got one")
		require.Contains(t, refused["error"], "no room")
		require.Equal(t, http.StatusNotFound, s.get("0").Code)
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// Successes, of which there are many, never push out failures.
func TestOutcomesHaveRoomOfTheirOwn(t *testing.T) {
	s := newService(t, taskz.WithRecent(3, time.Minute))
	s.run("failed", fail)
	for i := range 10 {
		s.run(fmt.Sprint("ok-", i), succeed)
	}
	all := s.json("")
	require.Equal(t, []string{"failed"}, names(at(all, "ended", "failed")))
	require.Equal(t, []string{"ok-9", "ok-8", "ok-7"}, names(at(all, "ended", "completed")), "the last first")
	require.Equal(t, object{"tasks": 3.0, "seconds": 60.0}, at(all, "kept"))
	require.Equal(t, http.StatusNotFound, s.get("2").Code, "it was pushed out")
}

func TestEndedTasksAreForgottenInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t, taskz.WithRecent(100, 10*time.Minute))
		s.run("old", fail)
		time.Sleep(6 * time.Minute)
		s.run("young", fail)
		require.Equal(t, []string{"young", "old"}, names(at(s.json(""), "ended", "failed")))
		time.Sleep(5 * time.Minute)
		require.Equal(t, []string{"young"}, names(at(s.json(""), "ended", "failed")))
		w := s.get("1")
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Contains(t, w.Body.String(), "10m0s")
		require.Contains(t, w.Body.String(), "last 100")
	})
}

// A task that a shutdown leaves behind is abandoned, until it ends after all.
func TestAbandonedTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		task := s.start("deaf", during(time.Hour), order("o-1"))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := s.tasks.Shutdown(ctx)
		require.Error(t, err)

		all := s.json("")
		require.Equal(t, true, at(all, "draining"))
		left := first(t, at(all, "ended", "abandoned"))
		require.Equal(t, "deaf", left["name"])
		require.Equal(t, false, left["done"])
		require.Equal(t, "cancelling", s.json("1")["state"])
		require.Equal(t, "shutdown", s.json("1")["cause"])

		<-task.Done()
		synctest.Wait()
		require.Equal(t, "completed", s.json("1")["state"])
	})
}

// hostile has methods that panic.
type hostile struct{}

func (hostile) Error() string        { panic("Error") }
func (hostile) LogValue() slog.Value { panic("LogValue") }

// hostileText has a method that panics.
type hostileText struct{}

func (hostileText) String() string { panic("String") }

// Whatever a task brings along, it is remembered, and its text is cut.
func TestHostileTasksAreRemembered(t *testing.T) {
	s := newService(t)
	long := strings.Repeat("ä", 100_000)
	loop := map[string]any{}
	loop["loop"] = loop
	task := s.run("n"+long, func(context.Context) error { return hostile{} }, core.WithAttrs(
		slog.Any("value", hostile{}), slog.Any("text", hostileText{}), slog.Any("loop", loop), slog.Any("nil", nil),
		slog.String("bytes", "\xff\xfe"), slog.String("script", "<script>alert(1)</script>"), slog.Any("secret", secret("hunter2")),
		slog.Group("user", slog.String("id", "u-1"), slog.Any("key", secret("hunter2"))), slog.Any("words", []string{"a", "b"}),
		slog.Any("struct", struct{ A int }{1}), slog.Attr{}, slog.String("long", long), slog.String(long, "key")))
	w := s.get(fmt.Sprint(task.ID()), "Accept", "application/json")
	require.Equal(t, http.StatusOK, w.Code)
	require.NotContains(t, w.Body.String(), "hunter2")
	require.Less(t, w.Body.Len(), 8<<10)
	require.NotContains(t, w.Body.String(), "<script", "JSON escapes it")

	attrs := s.json(fmt.Sprint(task.ID()))["context"]
	for key, value := range map[string]any{
		"text": "taskz_test.hostileText", "loop": "map[string]interface {}", "nil": "<nil>", "bytes": "\uFFFD",
		"script": "<script>alert(1)</script>", "secret": "[redacted]", "user.id": "u-1", "user.key": "[redacted]", "words": "[a b]",
		"struct": `{"A":1}`,
	} {
		require.Equal(t, value, at(attrs, key), key)
	}
	require.Contains(t, at(attrs, "value"), "panicked")
	require.True(t, strings.HasSuffix(at(attrs, "long").(string), "…"))
	require.Equal(t, "taskz_test.hostile", s.json(fmt.Sprint(task.ID()))["error"])
}

// Like slog's handlers the page asks attributes and members of groups, and not what is inside a value.
func TestValuesWithinValuesAreNotAsked(t *testing.T) {
	s := newService(t)
	s.run("x", succeed, core.WithAttrs(slog.Any("struct", struct{ Key secret }{"a"}), slog.Any("slice", []secret{"b"}),
		slog.Any("map", map[string]secret{"k": "c"}), slog.Group("g", slog.Group("h", slog.Any("key", secret("d"))))))
	require.Equal(t, object{"struct": `{"Key":"a"}`, "slice": "[b]", "map": `{"k":"c"}`, "g.h.key": "[redacted]"}, s.json("1")["context"])
}

func TestKindsOfValues(t *testing.T) {
	s := newService(t)
	when := time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)
	s.run("x", succeed, core.WithAttrs(slog.Int("int", -1), slog.Uint64("uint", 2), slog.Float64("float", 1.5), slog.Bool("bool", true),
		slog.Duration("duration", 1500*time.Millisecond), slog.Time("time", when), slog.Any("error", errors.New("no")),
		slog.Any("stringer", core.Failed)))
	require.Equal(t, object{
		"int": "-1", "uint": "2", "float": "1.5", "bool": "true", "duration": "1.5s", "time": "2026-11-30T01:02:03Z",
		"error": "no", "stringer": "failed",
	}, s.json("1")["context"])
}

// Very many attributes, and groups within groups, have a bound.
func TestAttributesHaveABound(t *testing.T) {
	s := newService(t)
	var many []slog.Attr
	deep := slog.String("x", "y")
	for i := range 1000 {
		many = append(many, slog.Int(fmt.Sprint("key-", i), i))
		deep = slog.Group("group", deep)
	}
	s.run("many", succeed, core.WithAttrs(many...))
	require.Len(t, s.json("1")["context"], 32)
	s.run("deep", succeed, core.WithAttrs(deep))
	require.Less(t, s.get("2?format=json").Body.Len(), 1<<10)
}
