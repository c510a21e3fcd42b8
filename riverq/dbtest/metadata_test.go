package dbtest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

// Metadata of the user's stays, and so does a trace that is there already.
func TestMetadataOfTheUser(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		c := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
		ctx, request := tel.start(t.Context(), "request")
		defer request.End()
		shared := []byte(`{"tenant": "t-1"}`)
		inserted, err := c.Insert(ctx, mailArgs{"o-1"}, &river.InsertOpts{Metadata: shared})
		require.NoError(t, err)
		metadata := metadataOf(t, c, inserted.Job.ID)
		assert.Equal(t, "t-1", metadata["tenant"])
		assert.Contains(t, metadata, "traceparent")
		assert.JSONEq(t, `{"tenant": "t-1"}`, string(shared), "other jobs may have the same bytes")

		traced := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		inserted, err = c.Insert(ctx, mailArgs{"o-2"}, &river.InsertOpts{Metadata: []byte(`{"traceparent":"` + traced + `"}`)})
		require.NoError(t, err)
		assert.Equal(t, map[string]any{"traceparent": traced}, metadataOf(t, c, inserted.Job.ID))
		tel.awaitSpans(t, "spawn send_mail", 1)
	})
}

// A job whose trace is there already has the attributes of the insert all the same, but no second set of them.
func TestAttributesOfAJobWithATrace(t *testing.T) {
	const traced = `"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`
	for metadata, want := range map[string]string{
		`{` + traced + `}`: `{` + traced + `,"afterspan":{"attrs":{"order_id":"o-1"}}}`,
		`{` + traced + `,"afterspan":{"attrs":{"a":1}}}`: `{` + traced + `,"afterspan":{"attrs":{"a":1}}}`,
	} {
		tel := newTelemetry(t)
		ctx := core.ContextWithAttrs(t.Context(), slog.String("order_id", "o-1"))
		got, _ := insertWith(t, ctx, riverq.New(riverq.WithMiddleware(tel.middleware())), metadata)
		assert.JSONEq(t, want, got)
		assert.Empty(t, tel.recorder.Started())
	}
}

// Something that is no trace does not keep the job from having one.
func TestMetadataWithAnInvalidTrace(t *testing.T) {
	for _, metadata := range []string{
		`{"traceparent":""}`, `{"traceparent":null}`, `{"traceparent":"zz"}`, `{"traceparent":{"a":1}}`,
		`{"traceparent":"00-00000000000000000000000000000000-b7ad6b7169203331-01"}`, `{"tracestate":"stale=1"}`,
		`{"traceparent":"zz","tracestate":"stale=1"}`,
	} {
		tel := newTelemetry(t)
		ctx, request := tel.start(t.Context(), "request")
		got, err := insertWith(t, ctx, riverq.New(riverq.WithMiddleware(tel.middleware())), metadata)
		request.End()
		require.NoError(t, err)
		spawn := tel.span(t, "spawn send_mail").SpanContext()
		var stored struct{ Traceparent, Tracestate string }
		require.NoError(t, json.Unmarshal([]byte(got), &stored))
		assert.Equal(t, fmt.Sprintf("00-%s-%s-01", spawn.TraceID(), spawn.SpanID()), stored.Traceparent, metadata)
		assert.Empty(t, stored.Tracestate, metadata)
	}
}

// insertWith calls the plugin as River does at the insert of one job. It returns the metadata of the job.
func insertWith(t *testing.T, ctx context.Context, plugin *riverq.Plugin, metadata string) (string, error) {
	t.Helper()
	jobs := []*rivertype.JobInsertParams{{Kind: "send_mail", Metadata: []byte(metadata)}}
	_, err := plugin.InsertMany(ctx, jobs, func(context.Context) ([]*rivertype.JobInsertResult, error) { return nil, nil })
	return string(jobs[0].Metadata), err
}

// Metadata that is no object is the user's mistake: River and the database tell of it.
func TestMetadataThatIsNoObject(t *testing.T) {
	plugin := riverq.New()
	for _, metadata := range []string{`[1]`, `"text"`, `{"unclosed`, `null`} {
		jobs := []*rivertype.JobInsertParams{{Kind: "send_mail", Metadata: []byte(metadata)}}
		ctx := core.ContextWithAttrs(t.Context(), slog.String("order_id", "o-1"))
		_, err := plugin.InsertMany(ctx, jobs, func(context.Context) ([]*rivertype.JobInsertResult, error) { return nil, nil })
		require.NoError(t, err)
		assert.Equal(t, metadata, string(jobs[0].Metadata))
		job := &rivertype.JobRow{ID: 1, Kind: "send_mail", Metadata: []byte(metadata)}
		require.NoError(t, plugin.Work(t.Context(), job, func(context.Context) error { return nil }))
	}
}

// secret is an attribute that shows itself to nobody.
type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("hidden") }

// Attributes come out of the database as they are in a span. LogValuers are resolved before they go in.
func TestAttributes(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		var inner []slog.Attr
		m := newTasks(t)
		c := startWorker(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())),
			func(ctx context.Context, _ *river.Job[mailArgs]) error {
				inner = m.Go(ctx, "inner", func(context.Context) error { return nil }).Attrs()
				return nil
			})
		ctx, request := tel.start(t.Context(), "request")
		ctx = core.ContextWithAttrs(ctx,
			slog.String("text", `a "b" ü`), slog.String("dotted.key", "yes"),
			slog.Int64("large", math.MaxInt64), slog.Float64("share", 0.5), slog.Bool("paid", true),
			slog.Duration("took", 1500*time.Millisecond), slog.Time("at", time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)),
			slog.Any("password", secret("x")), slog.Group("user", slog.String("id", "u-1")))
		inserted, err := c.Insert(ctx, mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		request.End()
		job := tel.span(t, "send_mail")
		for key, want := range map[string]any{
			"text": `a "b" ü`, "dotted.key": "yes", "large": int64(math.MaxInt64), "share": 0.5, "paid": true,
			"took": "1.5s", "at": "2026-11-30T01:02:03Z", "password": "hidden", "user.id": "u-1",
		} {
			assert.Equal(t, want, value(job, key), key)
		}
		row := awaitState(t, c, inserted.Job.ID, rivertype.JobStateCompleted)
		assert.NotContains(t, string(row.Metadata), `"x"`)
		keys := make([]string, len(inner))
		for i, a := range inner {
			keys[i] = a.Key
		}
		assert.Contains(t, keys, "text", "tasks that the job starts have them, as those of a task have")
		assert.NotContains(t, keys, "river")
	})
}

// What PostgreSQL does not take in JSON is replaced: a job is worth more than an attribute.
func TestAttributesThatCannotBeStored(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		c := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
		raw := func(text string) slog.Value { return slog.AnyValue(json.RawMessage(text)) }
		ctx := core.ContextWithAttrs(tel.request(t),
			slog.String("query", "a\x00b"), slog.String("k\x00y", "v"), slog.String("typed", `\u0000`),
			slog.Attr{Key: "half", Value: raw(`"x\ud800y"`)}, slog.Attr{Key: "pair", Value: raw(`"\ud83d\ude00"`)},
			slog.Attr{Key: "bytes", Value: raw("\"x\xff\"")},
			slog.Attr{Key: "huge", Value: raw(`1e400000`)}, slog.Attr{Key: "tiny", Value: raw(`-1e-400000`)},
			slog.Attr{Key: "exact", Value: raw(`12345678901234567890.5`)},
			slog.Attr{Key: "list", Value: raw(`["\u0000",{"a\u0000":1e400000},[],{},true,null]`)},
			slog.Group("user", slog.String("id", "u\x00")))
		result, err := c.Insert(ctx, mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		row, err := c.JobGet(ctx, result.Job.ID)
		require.NoError(t, err)
		var stored struct {
			Afterspan struct{ Attrs json.RawMessage }
		}
		require.NoError(t, json.Unmarshal(row.Metadata, &stored))
		assert.JSONEq(t, `{
			"query": "a\ufffdb", "k\ufffdy": "v", "typed": "\\u0000", "half": "x\ufffdy", "pair": "\ud83d\ude00",
			"bytes": "x\ufffd", "huge": null, "tiny": 0, "exact": 12345678901234567890.5,
			"list": ["\ufffd", {"a\ufffd": null}, [], {}, true, null], "user": {"id": "u\ufffd"}
		}`, string(stored.Afterspan.Attrs))
	})
}

// Attributes that do not fit are left out; the others stay.
func TestManyAttributes(t *testing.T) {
	plugin := riverq.New()
	ctx := core.ContextWithAttrs(t.Context(),
		slog.String("huge", strings.Repeat("x", 9000)), slog.String("order_id", "o-1"), slog.Any("nothing", nil),
		slog.Any("list", []int{1, 2}))
	jobs := []*rivertype.JobInsertParams{{Kind: "send_mail"}}
	_, err := plugin.InsertMany(ctx, jobs, func(context.Context) ([]*rivertype.JobInsertResult, error) { return nil, nil })
	require.NoError(t, err)
	assert.JSONEq(t, `{"afterspan":{"attrs":{"order_id":"o-1","nothing":null,"list":[1,2]}}}`, string(jobs[0].Metadata))

	var got map[string]any
	task := func(ctx context.Context) error {
		task, _ := core.TaskFromContext(ctx)
		return json.Unmarshal(must(json.Marshal(task.Info())), &struct{ Context *map[string]any }{&got})
	}
	job := &rivertype.JobRow{ID: 1, Kind: "send_mail", Metadata: jobs[0].Metadata}
	require.NoError(t, plugin.Work(t.Context(), job, task))
	assert.Equal(t, "o-1", got["order_id"])
	assert.Equal(t, []any{1.0, 2.0}, got["list"])
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Attributes that somebody wrote into the metadata do not push those about the job out of the span, nor
// stand for them. Very many are ignored.
func TestForgedAttributes(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"afterspan":{"attrs":{"river":{"queue":"forged"},"river.queue":"forged","order_id":"o-1"`)
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":"v"`, i)
		}
		return b.String() + `}}}`
	}
	for n, order := range map[int]any{0: "o-1", 200: "o-1", 10_000: nil} {
		tel := newTelemetry(t)
		plugin := riverq.New(riverq.WithMiddleware(tel.middleware()))
		job := &rivertype.JobRow{ID: 1, Kind: "send_mail", Queue: "mails", Metadata: []byte(many(n))}
		require.NoError(t, plugin.Work(t.Context(), job, func(context.Context) error { return nil }))
		span := tel.span(t, "send_mail")
		assert.Equal(t, "mails", value(span, "river.queue"))
		assert.Equal(t, order, value(span, "order_id"))
	}
}

// PostgreSQL stores attributes with spaces. Those that were small enough to store are read.
func TestAttributesUpToTheLimit(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		list := make([]int, 4000)
		ctx := core.ContextWithAttrs(t.Context(), slog.String("order_id", "o-1"), slog.Any("list", list))
		c := startWorker(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())), succeed)
		_, err := c.Insert(ctx, mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		span := tel.span(t, "send_mail")
		assert.Equal(t, "o-1", value(span, "order_id"))
		assert.NotNil(t, value(span, "list"))
	})
}

// Baggage travels if it is allowed to on both sides.
func TestBaggage(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		for name, opts := range map[string][]riverq.Option{"allowed": {riverq.WithBaggage()}, "not allowed": nil} {
			t.Run(name, func(t *testing.T) {
				tel := newTelemetry(t)
				mw := riverq.WithMiddleware(tel.middleware(otelmw.WithBaggageKeys("tenant")))
				c := startWorker(t, db, riverq.New(append(opts, mw)...), succeed)
				member, err := baggage.NewMember("tenant", "t-1")
				require.NoError(t, err)
				bag, err := baggage.New(member)
				require.NoError(t, err)
				_, err = c.Insert(baggage.ContextWithBaggage(t.Context(), bag), mailArgs{"o-1"}, nil)
				require.NoError(t, err)
				if name == "allowed" {
					assert.Equal(t, "t-1", value(tel.span(t, "send_mail"), "tenant"))
				} else {
					assert.Nil(t, value(tel.span(t, "send_mail"), "tenant"))
				}
				require.NoError(t, c.StopAndCancel(t.Context()))
			})
		}
	})
}
