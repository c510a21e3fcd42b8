package otelmw_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// How a task's attributes look in its span.

type (
	secret   string                    // redacts itself wherever it is read
	account  struct{ id, iban string } // makes a group of itself
	endless  struct{}
	thread   string
	priority int
	shy      struct{}
	broken   struct{}
	stringer struct{ s string }
)

func (secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }
func (a account) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", a.id), slog.Any("iban", secret(a.iban)))
}
func (e endless) LogValue() slog.Value { return slog.AnyValue(e) }
func (shy) LogValue() slog.Value       { panic("not now") }
func (broken) String() string          { panic("broken") }
func (s *stringer) String() string     { return s.s }

func TestValuesOfEveryKind(t *testing.T) {
	berlin := time.FixedZone("CEST", 2*60*60)
	for name, test := range map[string]struct {
		attr slog.Attr
		want any
	}{
		"string":             {slog.String("k", "v"), "v"},
		"empty string":       {slog.String("k", ""), ""},
		"int":                {slog.Int("k", -7), int64(-7)},
		"int64":              {slog.Int64("k", math.MinInt64), int64(math.MinInt64)},
		"uint64":             {slog.Uint64("k", math.MaxInt64), int64(math.MaxInt64)},
		"uint64 over int64":  {slog.Uint64("k", math.MaxInt64+1), "9223372036854775808"},
		"uint64 at its max":  {slog.Uint64("k", math.MaxUint64), "18446744073709551615"},
		"float":              {slog.Float64("k", 1.5), 1.5},
		"infinity":           {slog.Float64("k", math.Inf(-1)), math.Inf(-1)},
		"bool":               {slog.Bool("k", true), true},
		"duration":           {slog.Duration("k", 1500*time.Millisecond), "1.5s"},
		"time":               {slog.Time("k", time.Date(2026, 7, 1, 12, 0, 0, 5000, berlin)), "2026-07-01T12:00:00.000005+02:00"},
		"zero time":          {slog.Time("k", time.Time{}), "0001-01-01T00:00:00Z"},
		"error":              {slog.Any("k", errTask), "smtp: mailbox full"},
		"nil":                {slog.Any("k", nil), "<nil>"},
		"nil pointer":        {slog.Any("k", (*stringer)(nil)), "<nil>"},
		"Stringer":           {slog.Any("k", &stringer{"s"}), "s"},
		"named string":       {slog.Any("k", thread("t-1")), "t-1"},
		"named int":          {slog.Any("k", priority(3)), "3"},
		"strings":            {slog.Any("k", []string{"a", "b"}), "[a b]"},
		"weekday":            {slog.Any("k", time.Tuesday), "Tuesday"},
		"any that is an int": {slog.Any("k", 7), int64(7)},
		"any that is a bool": {slog.Any("k", false), false},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			assert.Equal(t, map[string]any{"k": test.want}, foreign(t, tel.job(t, succeed, nil, core.WithAttrs(test.attr))))
		})
	}
}

func TestNaNIsAFloat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		got := foreign(t, tel.job(t, succeed, nil, core.WithAttrs(slog.Float64("k", math.NaN()))))
		require.IsType(t, 0.0, got["k"])
		assert.True(t, math.IsNaN(got["k"].(float64)))
	})
}

func TestGroupsAreJoinedByDots(t *testing.T) {
	for name, test := range map[string]struct {
		attr slog.Attr
		want map[string]any
	}{
		"group":           {slog.Group("order", "id", 7, "paid", true), map[string]any{"order.id": int64(7), "order.paid": true}},
		"nested":          {slog.Group("a", slog.Group("b", slog.Group("c", "d", 1))), map[string]any{"a.b.c.d": int64(1)}},
		"without a name":  {slog.Group("", "id", 7), map[string]any{"id": int64(7)}},
		"nameless inside": {slog.Group("a", slog.Group("", "id", 7)), map[string]any{"a.id": int64(7)}},
		"empty":           {slog.Group("a"), map[string]any{}},
		"empty inside":    {slog.Group("a", slog.Group("b"), slog.Int("c", 1)), map[string]any{"a.c": int64(1)}},
		"siblings": {
			slog.Group("a", slog.Group("b", "x", 1), slog.Int("y", 2)),
			map[string]any{"a.b.x": int64(1), "a.y": int64(2)},
		},
		// As package slog has it: the zero Attr is ignored, wherever it stands.
		"zero Attr":            {slog.Attr{}, map[string]any{}},
		"zero Attr in a group": {slog.Group("a", slog.Attr{}, slog.Int("b", 1)), map[string]any{"a.b": int64(1)}},
		"key without a name":   {slog.Int("", 7), map[string]any{}},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			assert.Equal(t, test.want, foreign(t, tel.job(t, succeed, nil, core.WithAttrs(test.attr))))
		})
	}
}

// A value that redacts itself in logs does so in spans.
func TestLogValuersAreResolved(t *testing.T) {
	for name, test := range map[string]struct {
		attr slog.Attr
		want map[string]any
	}{
		"value":       {slog.Any("token", secret("hunter2")), map[string]any{"token": "[redacted]"}},
		"group":       {slog.Any("from", account{"7", "DE02"}), map[string]any{"from.id": "7", "from.iban": "[redacted]"}},
		"in a group":  {slog.Group("g", slog.Any("token", secret("hunter2"))), map[string]any{"g.token": "[redacted]"}},
		"nameless":    {slog.Any("", account{"7", "DE02"}), map[string]any{"id": "7", "iban": "[redacted]"}},
		"ours, after": {slog.Any("afterspan", account{"7", "DE02"}), map[string]any{}},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			job := tel.job(t, succeed, nil, core.WithAttrs(test.attr))
			assert.Equal(t, test.want, foreign(t, job))
			assert.NotContains(t, everythingOf(job), "hunter2")
			assert.NotContains(t, everythingOf(job), "DE02")
		})
	}
}

// Values are the service's own code. Whatever they do, the task goes on, and its span has the other attributes.
func TestValuesThatMisbehave(t *testing.T) {
	for name, value := range map[string]any{
		"String panics": broken{}, "Error panics": error((*nilError)(nil)), "LogValue panics": shy{}, "LogValue without end": endless{},
	} {
		inBubble(t, name, func(t *testing.T) {
			tel := newTelemetry(t)
			got := foreign(t, tel.job(t, succeed, nil, core.WithAttrs(slog.Any("k", value), slog.Int("n", 1))))
			assert.Equal(t, int64(1), got["n"])
			assert.IsType(t, "", got["k"])
			assert.NotEmpty(t, got["k"], "something stands there, so that the bug is seen")
		})
	}
}

// The protocol carries valid UTF-8 alone: one bad byte, and an exporter loses the whole batch.
func TestOnlyValidUTF8IsExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		bad := "a\xffb"
		m := tel.manager()
		ctx, agent := tel.start("agent")
		m.Go(ctx, bad, func(context.Context) error { panic(errors.New(bad)) }, core.WithAttrs(
			slog.String(bad, "key"), slog.String("value", bad), slog.Any("error", errors.New(bad)),
			slog.Any("any", []string{bad}), slog.Group("g"+bad, bad, bad)))
		agent.End()
		tel.wait(t, m)
		job := tel.span(t, "a\uFFFDb")
		tel.span(t, "spawn a\uFFFDb")
		assert.Equal(t, map[string]any{
			"a\uFFFDb": "key", "value": "a\uFFFDb", "error": "a\uFFFDb", "any": "[a\uFFFDb]",
			"ga\uFFFDb.a\uFFFDb": "a\uFFFDb", "error.type": "panic",
		}, withoutSpawner(foreign(t, job)))
		assertStatus(t, job, "panic: a\uFFFDb")
		for _, s := range tel.recorder.Ended() {
			assert.True(t, utf8.ValidString(everythingOf(s)), "%q", everythingOf(s))
		}
		for name := range tel.collect(t) {
			assert.True(t, utf8.ValidString(tel.pointsOf(t, name)), "%q", tel.pointsOf(t, name))
		}
	})
}

// What options give is exported with the rest, and a request's header may be in it.
func TestOnlyValidUTF8OfOptionsIsExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		bad := "a\xffb"
		give := func(key string) []attribute.KeyValue {
			return []attribute.KeyValue{
				attribute.String(key, bad), attribute.StringSlice(key+"s", []string{"ok", bad}), attribute.Int(key+bad, 1),
			}
		}
		job := tel.job(t, fail, []otelmw.Option{
			otelmw.WithAttributes(give("static")...),
			otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue { return give("callback") }),
			otelmw.WithMetricAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue { return give("metric") }),
			otelmw.WithErrorDescription(func(error) string { return bad }),
		})
		assert.True(t, utf8.ValidString(everythingOf(job)), "%q", everythingOf(job))
		for name := range tel.collect(t) {
			assert.True(t, utf8.ValidString(tel.pointsOf(t, name)), "%q", tel.pointsOf(t, name))
		}
	})
}

// The same of what is within a list or a map.
func TestOnlyValidUTF8OfNestedValuesIsExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		bad := "a\xffb"
		job := tel.job(t, succeed, []otelmw.Option{otelmw.WithAttributes(
			attribute.Slice("list", attribute.StringValue(bad)), attribute.Map("map", attribute.String(bad, bad)))})
		for _, kv := range job.Attributes() {
			switch kv.Key {
			case "list":
				assert.Equal(t, "a\uFFFDb", kv.Value.AsSlice()[0].AsString())
			case "map":
				assert.Equal(t, attribute.String("a\uFFFDb", "a\uFFFDb"), kv.Value.AsMap()[0])
			}
		}
	})
}

// A value that is too long for a trace is cut between two runes, and says so.
func TestLongValuesAreCutAndMarked(t *testing.T) {
	const longest = 4096
	for name, unit := range map[string]string{"one byte": "a", "two bytes": "ä", "three bytes": "€", "four bytes": "😀"} {
		for shift := range 4 { // so that the cut falls on every byte of a rune
			long := strings.Repeat("x", shift) + strings.Repeat(unit, 5000)
			inBubble(t, name, func(t *testing.T) {
				tel := newTelemetry(t)
				got, _ := foreign(t, tel.job(t, succeed, nil, core.WithAttrs(slog.String("k", long))))["k"].(string)
				assert.True(t, utf8.ValidString(got))
				assert.NotContains(t, got, "\uFFFD")
				kept, mark, cut := strings.Cut(got, "… (cut, ")
				require.True(t, cut, "it says so")
				assert.True(t, strings.HasPrefix(long, kept))
				assert.LessOrEqual(t, len(kept), longest)
				assert.Greater(t, len(kept), longest-utf8.UTFMax)
				assert.Contains(t, mark, "bytes in all)")
			})
		}
	}
}

func TestValuesThatFitAreNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		whole := strings.Repeat("a", 4096)
		assert.Equal(t, map[string]any{"k": whole}, foreign(t, tel.job(t, succeed, nil, core.WithAttrs(slog.String("k", whole)))))
	})
}

// The rest of a span is as long as it is of use, too. The SDK limits none of it.
func TestNothingOfASpanIsWithoutBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		long := strings.Repeat("x", 1<<20)
		m := tel.manager(otelmw.WithBaggageKeys("tenant"))
		ctx, agent := tel.start("agent")
		m.Go(inBaggage(t, ctx, "tenant", long[:8000]), long, func(context.Context) error { panic(long) },
			core.WithAttrs(slog.String(long, long), slog.Any("any", []string{long})))
		agent.End()
		require.NoError(t, m.Wait(t.Context()))
		for _, s := range tel.recorder.Ended() {
			assert.Less(t, len(everythingOf(s)), 100_000)
		}
		for name := range tel.collect(t) {
			assert.Less(t, len(tel.pointsOf(t, name)), 100_000)
		}
	})
}
