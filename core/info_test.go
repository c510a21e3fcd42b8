package core_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// Promises 8, 10 and 11: what a task says of itself.

func TestTaskInfoAsJSON(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		running := m.Go(t.Context(), "send_receipt", during(time.Minute), core.WithTimeout(90*time.Second),
			core.WithAttrs(slog.String("thread_id", "t1"), slog.Int("attempt", 2)))
		queued := m.Go(t.Context(), "", succeed)
		time.Sleep(1500 * time.Millisecond)

		out, err := json.Marshal(m.Tasks())
		require.NoError(t, err)
		require.JSONEq(t, `[
			{"id":1,"name":"send_receipt","state":"running","age_seconds":1.5,"timeout":90,"context":{"thread_id":"t1","attempt":2},"done":false},
			{"id":2,"name":"background_task","state":"queued","age_seconds":1.5,"timeout":null,"context":{},"done":false}
		]`, string(out))

		info := running.Info()
		require.NoError(t, m.Wait(t.Context()))
		require.False(t, info.Done, "it is what there was to say then")
		out, err = json.Marshal([]any{queued.Info(), new(queued.Info())})
		require.NoError(t, err)
		require.Contains(t, string(out), `"state":"completed"`)
		require.Contains(t, string(out), `"done":true`)
	})
}

// states of a task, in the order of its life.
func TestStates(t *testing.T) {
	inBubble(t, "queued, running, cancelling, cancelled", func(t *testing.T) {
		m := newManager(core.WithLimit(1, 1))
		m.Go(t.Context(), "first", ignore(time.Second))
		task := m.Go(t.Context(), "x", ignoreAndFail(2*time.Second))
		var states []string
		for range 4 {
			states = append(states, task.Info().State)
			if task.Info().State == "running" {
				task.Cancel()
				states = append(states, task.Info().State)
			}
			time.Sleep(time.Second + 1)
		}
		require.Equal(t, []string{"queued", "running", "cancelling", "cancelling", "cancelled"}, states)
	})
	inBubble(t, "cancelling after the timeout", func(t *testing.T) {
		m := newManager()
		task := m.Go(t.Context(), "x", ignoreAndFail(time.Minute), core.WithTimeout(time.Second))
		time.Sleep(time.Second - 1)
		require.Equal(t, "running", task.Info().State)
		time.Sleep(2)
		require.Equal(t, "cancelling", task.Info().State)
		requireEnds(t, task)
		require.Equal(t, "timed_out", task.Info().State)
	})
	for name, way := range ways {
		inBubble(t, name, func(t *testing.T) {
			task := newManager().Go(t.Context(), "x", way.fn, core.WithTimeout(time.Minute))
			requireEnds(t, task)
			require.Equal(t, way.outcome.String(), task.Info().State)
		})
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	for outcome, name := range map[core.Outcome]string{
		core.Pending: "pending", core.Completed: "completed", core.Failed: "failed", core.Cancelled: "cancelled",
		core.TimedOut: "timed_out", core.Rejected: "rejected", 100: "unknown",
	} {
		require.Equal(t, name, outcome.String())
	}
	var none core.Outcome
	require.Equal(t, core.Pending, none)
}

func TestStatsAsJSON(t *testing.T) {
	out, err := json.Marshal(core.Stats{Created: 1, Completed: 2, Failed: 3, Cancelled: 4, TimedOut: 5, Rejected: 6, Running: 7, Queued: 8, Overdue: 9, Oldest: 1500 * time.Millisecond})
	require.NoError(t, err)
	require.JSONEq(t, `{"created":1,"completed":2,"failed":3,"cancelled":4,"timed_out":5,"rejected":6,"running":7,"queued":8,"overdue":9,"oldest_seconds":1.5}`, string(out))
}

// secret keeps itself out of everything that is read by people.
type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// The values that an attribute may hold, good and bad.
type (
	panicsInLogValue struct{}
	panicsInJSON     struct{}
	failsInJSON      struct{}
	brokenJSON       struct{}
)

func (panicsInLogValue) LogValue() slog.Value     { panic("LogValue") }
func (panicsInJSON) MarshalJSON() ([]byte, error) { panic("MarshalJSON") }
func (failsInJSON) MarshalJSON() ([]byte, error)  { return nil, errors.New("no") }
func (brokenJSON) MarshalJSON() ([]byte, error)   { return []byte(`{"half":`), nil }

// Whatever an attribute holds, the page that shows it stays whole.
func TestAttributesAsJSON(t *testing.T) {
	var typedNil *time.Time
	for name, tc := range map[string]struct {
		attrs []slog.Attr
		want  string // "": any object
	}{
		"none":           {nil, `{}`},
		"string":         {[]slog.Attr{slog.String("k", "<v> & \"w\"")}, `{"k":"<v> & \"w\""}`},
		"number":         {[]slog.Attr{slog.Int("k", -1), slog.Uint64("max", math.MaxUint64), slog.Float64("f", 0.5)}, `{"k":-1,"max":18446744073709551615,"f":0.5}`},
		"bool":           {[]slog.Attr{slog.Bool("k", true)}, `{"k":true}`},
		"nil":            {[]slog.Attr{slog.Any("k", nil)}, `{"k":null}`},
		"typed nil":      {[]slog.Attr{slog.Any("k", typedNil)}, `{"k":null}`},
		"duration":       {[]slog.Attr{slog.Duration("k", 1500*time.Millisecond)}, `{"k":"1.5s"}`},
		"time":           {[]slog.Attr{slog.Time("k", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}, `{"k":"2026-01-02T03:04:05Z"}`},
		"error":          {[]slog.Attr{slog.Any("k", errTask)}, `{"k":"smtp: mailbox full"}`},
		"struct":         {[]slog.Attr{slog.Any("k", struct{ N int }{1})}, `{"k":{"N":1}}`},
		"slice":          {[]slog.Attr{slog.Any("k", []string{"a", "b"})}, `{"k":["a","b"]}`},
		"group":          {[]slog.Attr{slog.Group("user", slog.Int("id", 7), slog.Group("in", slog.Bool("a", true)))}, `{"user":{"id":7,"in":{"a":true}}}`},
		"group, unnamed": {[]slog.Attr{slog.Group("", slog.Int("id", 7))}, `{"id":7}`},
		"group, empty":   {[]slog.Attr{slog.Group("user"), slog.Int("n", 1)}, `{"n":1}`},
		"empty":          {[]slog.Attr{{}, slog.Int("n", 1)}, `{"n":1}`},
		"LogValuer":      {[]slog.Attr{slog.Any("card", secret("4111-1111-1111"))}, `{"card":"[redacted]"}`},
		"LogValuer, in a group": {
			[]slog.Attr{slog.Group("pay", slog.Any("card", secret("4111-1111-1111")))},
			`{"pay":{"card":"[redacted]"}}`,
		},
		"its own word":         {[]slog.Attr{slog.String("context", "c"), slog.String("msg", "m"), slog.String("level", "l"), slog.String("time", "t")}, `{"context":"c","msg":"m","level":"l","time":"t"}`},
		"not a number":         {[]slog.Attr{slog.Float64("nan", math.NaN()), slog.Float64("inf", math.Inf(1)), slog.Int("n", 1)}, ""},
		"not for JSON":         {[]slog.Attr{slog.Any("f", func() {}), slog.Any("c", make(chan int)), slog.Any("z", 1i), slog.Int("n", 1)}, ""},
		"panics in LogValue":   {[]slog.Attr{slog.Any("k", panicsInLogValue{}), slog.Int("n", 1)}, ""},
		"panics in JSON":       {[]slog.Attr{slog.Any("k", panicsInJSON{}), slog.Int("n", 1)}, ""},
		"fails in JSON":        {[]slog.Attr{slog.Any("k", failsInJSON{}), slog.Int("n", 1)}, ""},
		"gives broken JSON":    {[]slog.Attr{slog.Any("k", brokenJSON{}), slog.Int("n", 1)}, ""},
		"panics in a group":    {[]slog.Attr{slog.Group("g", slog.Any("k", panicsInJSON{})), slog.Int("n", 1)}, ""},
		"panics deeper":        {[]slog.Attr{slog.Any("k", map[string]any{"a": []any{1, panicsInJSON{}}}), slog.Int("n", 1)}, ""},
		"not UTF-8":            {[]slog.Attr{slog.String("k\xff", "v\xff"), slog.Int("n", 1)}, ""},
		"control characters":   {[]slog.Attr{slog.String("k", "a\x00\n\u2028"), slog.Int("n", 1)}, ""},
		"a pointer to a url":   {[]slog.Attr{slog.Any("k", &url.URL{Scheme: "https", Host: "example.org"}), slog.Int("n", 1)}, ""},
		"a name without a key": {[]slog.Attr{slog.String("", "v"), slog.Int("n", 1)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			task := core.NewTask("x", core.WithAttrs(tc.attrs...))
			out, err := json.Marshal(task.Info())
			require.NoError(t, err)
			var got struct{ Context json.RawMessage }
			require.NoError(t, json.Unmarshal(out, &got))
			require.Equal(t, byte('{'), got.Context[0])
			if tc.want != "" {
				require.JSONEq(t, tc.want, string(got.Context))
				return
			}
			var object map[string]any
			require.NoError(t, json.Unmarshal(got.Context, &object))
			require.EqualValues(t, 1, object["n"], "the other attributes are still there")
		})
	}
}

// A secret that keeps itself out of logs does so everywhere else, too.
func TestSecretsStaySecret(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		m := core.New(log.option(), core.WithLimit(1, 0), core.WithShutdownTimeout(0))
		attrs := core.WithAttrs(slog.Any("card", secret("4111-1111-1111")), slog.Group("pay", slog.Any("cvc", secret("cvc-737"))))
		task := m.Go(t.Context(), "charge", ignore(time.Minute), attrs)
		m.Go(t.Context(), "refused", succeed, attrs)
		time.Sleep(time.Second)
		task.Cancel()
		out, err := json.Marshal(m.Tasks())
		require.NoError(t, err)
		err = m.Close()
		require.Error(t, err)
		time.Sleep(2 * time.Minute)

		for _, text := range []string{string(out), err.Error(), log.text()} {
			require.NotContains(t, text, "4111-1111-1111")
			require.NotContains(t, text, "cvc-737")
		}
		require.Contains(t, string(out), "[redacted]")
		require.NotEmpty(t, log.with(t, msgCreated))
		require.NotEmpty(t, log.with(t, msgRefused))
		require.NotEmpty(t, log.with(t, msgOverdue))
		require.NotEmpty(t, log.with(t, msgLeftOver))
		require.NotEmpty(t, log.with(t, msgCompleted))
	})
}

// counted counts how often it is resolved.
type counted struct{ n *int }

func (c counted) LogValue() slog.Value { *c.n++; return slog.IntValue(*c.n) }

func TestAttributesAreCopiedAtSpawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		resolved := 0
		attrs := []slog.Attr{slog.String("thread_id", "t1"), slog.Any("counted", counted{&resolved})}
		opts := core.WithAttrs(attrs...)
		task := m.Go(t.Context(), "x", ignore(time.Minute), opts, core.WithAttrs(slog.Int("n", 1)))
		other := m.Go(t.Context(), "y", ignore(time.Minute), opts, core.WithAttrs(slog.Int("n", 2)))
		attrs[0] = slog.String("thread_id", "changed by the caller")
		task.Attrs()[0] = slog.String("thread_id", "changed by a reader")
		task.Info().Attrs[0] = slog.String("thread_id", "changed by a page")

		got := task.Attrs()
		require.Len(t, got, 3)
		require.Equal(t, slog.String("thread_id", "t1"), got[0])
		require.Equal(t, slog.KindLogValuer, got[1].Value.Kind(), "unresolved")
		require.Zero(t, resolved)
		require.Equal(t, slog.Int("n", 1), got[2])
		require.Equal(t, slog.Int("n", 2), other.Attrs()[2], "tasks do not share what they append")
		require.NoError(t, m.Wait(t.Context()))
		require.Zero(t, resolved, "nobody has read them")
	})
}

// Defaults are shared by all tasks, what a task appends is not.
func TestAppendedAttributesAreATasksOwn(t *testing.T) {
	defaults := make([]slog.Attr, 0, 10)
	defaults = append(defaults, slog.String("service", "mail"))
	m := newManager(core.WithTaskDefaults(core.WithAttrs(defaults...)))
	first := m.Go(t.Context(), "x", succeed, core.WithAttrs(slog.Int("n", 1)))
	second := m.Go(t.Context(), "x", succeed, core.WithAttrs(slog.Int("n", 2)))
	assert.Equal(t, slog.Int("n", 1), first.Attrs()[1])
	assert.Equal(t, slog.Int("n", 2), second.Attrs()[1])
	require.NoError(t, m.Close())
}

// The wall clock may be set back. No task has a negative age then.
func TestTimesAreMonotonic(t *testing.T) {
	m := newManager()
	task := m.Go(t.Context(), "x", succeed)
	require.NoError(t, task.Wait(t.Context()))
	for name, at := range map[string]time.Time{"created": task.CreatedAt(), "started": task.StartedAt()} {
		require.NotEqual(t, at.Round(0).String(), at.String(), "%s has a monotonic reading", name)
	}
}
