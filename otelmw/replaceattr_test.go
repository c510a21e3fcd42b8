package otelmw_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/attribute"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// WithReplaceAttr sees a task's own attributes on their way into its span.

func TestReplaceAttr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		seen := map[string]any{}
		replace := func(a slog.Attr) slog.Attr {
			seen[a.Key] = a.Value.Any()
			switch a.Key {
			case "thread_id": // renamed, to what the conventions call it
				a.Key = "gen_ai.conversation.id"
			case "user.email": // redacted
				_, domain, _ := strings.Cut(a.Value.String(), "@")
				a.Value = slog.StringValue("…@" + domain)
			case "debug": // dropped
				return slog.Attr{}
			case "count": // another kind
				a.Value = slog.StringValue("many")
			case "late": // a value that is not resolved yet
				a.Value = slog.AnyValue(secret("hunter2"))
			case "forge":
				a.Key = "afterspan.task.name"
			case "unnamed":
				a.Key = ""
			}
			return a
		}
		job := tel.job(t, succeed, []otelmw.Option{otelmw.WithReplaceAttr(replace)}, core.WithAttrs(
			slog.String("thread_id", "t-1"),
			slog.Group("user", "email", "ada@example.com", "id", 7),
			slog.Any("token", secret("hunter2")),
			slog.String("debug", "x"), slog.Int("count", 9), slog.String("late", "x"),
			slog.String("forge", "x"), slog.String("unnamed", "x"), slog.String("afterspan.x", "never asked about")))
		assert.Equal(t, map[string]any{
			"gen_ai.conversation.id": "t-1", "user.email": "…@example.com", "user.id": int64(7),
			"token": "[redacted]", "count": "many", "late": "[redacted]",
		}, foreign(t, job))
		assert.Equal(t, "job", values(t, job.Attributes())["afterspan.task.name"])
		assert.Equal(t, map[string]any{
			"thread_id": "t-1", "user.email": "ada@example.com", "user.id": int64(7), "token": "[redacted]",
			"debug": "x", "count": int64(9), "late": "x", "forge": "x", "unnamed": "x",
		}, seen, "each with its groups in the key, and its value resolved")
	})
}

// A callback may make a group of an attribute. Its members are attributes like others: a secret among them redacts
// itself.
func TestReplaceAttrThatMakesAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, succeed, []otelmw.Option{otelmw.WithReplaceAttr(func(slog.Attr) slog.Attr {
			return slog.Group("user", slog.Any("password", secret("hunter2")), slog.Int("id", 7))
		})}, core.WithAttrs(slog.String("a", "x")))
		assert.Equal(t, map[string]any{"user.password": "[redacted]", "user.id": int64(7)}, foreign(t, job))
	})
}

// What is renamed to a key that is there takes its place, as a later attribute does.
func TestReplaceAttrOntoAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, succeed, []otelmw.Option{otelmw.WithReplaceAttr(func(a slog.Attr) slog.Attr {
			a.Key = "k"
			return a
		})}, core.WithAttrs(slog.Int("a", 1), slog.Int("b", 2)))
		assert.Equal(t, map[string]any{"k": int64(2)}, foreign(t, job))
	})
}

// A redaction that fails must not let the value through.
func TestAttributeForWhichReplaceAttrPanicsIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		job := tel.job(t, succeed, []otelmw.Option{otelmw.WithReplaceAttr(func(a slog.Attr) slog.Attr {
			if a.Key == "token" {
				panic("no key to encrypt with")
			}
			return a
		})}, core.WithAttrs(slog.String("token", "hunter2"), slog.Int("n", 1)))
		assert.Equal(t, map[string]any{"n": int64(1)}, foreign(t, job))
		assert.Equal(t, []string{"otelmw: the callback of WithReplaceAttr: panic: no key to encrypt with"}, handled.take())
	})
}

// It is for the task's own: what comes from options the service has under its control anyway.
func TestReplaceAttrIsNotAskedAboutTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t)
		m := tel.manager(
			otelmw.WithReplaceAttr(func(a slog.Attr) slog.Attr { assert.Fail(t, "asked", a.Key); return a }),
			otelmw.WithAttributes(attribute.String("region", "eu")), otelmw.WithBaggageKeys("tenant"),
			otelmw.WithAttributesFunc(func(context.Context, *core.Task) []attribute.KeyValue {
				return []attribute.KeyValue{attribute.Bool("beta", true)}
			}))
		m.Go(inBaggage(t, t.Context(), "tenant", "acme"), "job", succeed)
		tel.wait(t, m)
		assert.Equal(t, map[string]any{"region": "eu", "tenant": "acme", "beta": true}, foreign(t, tel.span(t, "job")))
	})
}
