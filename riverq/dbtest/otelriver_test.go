package dbtest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/riverqueue/rivercontrib/otelriver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// Each of the two understands the metadata of the other.
func TestOtelriver(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		theirs := otelriver.NewMiddleware(&otelriver.MiddlewareConfig{
			EnableTracePropagation: true, TracerProvider: tel.provider, DurationUnit: "s",
		})
		ours := riverq.New(riverq.WithMiddleware(tel.middleware()))
		for name, test := range map[string]struct {
			insert, work  rivertype.Plugin
			spawn, worked string
		}{
			"they insert, we work": {theirs, ours, "river.insert_many", "send_mail"},
			"we insert, they work": {ours, theirs, "spawn send_mail", "river.work"},
		} {
			t.Run(name, func(t *testing.T) {
				tel.recorder.Reset()
				_, err := insertOnly(t, db, test.insert).Insert(tel.request(t), mailArgs{"o-1"}, nil)
				require.NoError(t, err)
				config := newConfig(test.work)
				river.AddWorker(config.Workers, river.WorkFunc(succeed))
				c := startClient(context.Background(), t, db, config)
				spawn, worked := tel.span(t, test.spawn), tel.span(t, test.worked)
				assertLinked(t, worked, spawn.SpanContext())
				require.NoError(t, c.StopAndCancel(t.Context()))
			})
		}
	})
}

// Where both are installed, a job carries otelriver's trace.
func TestBesideOtelriver(t *testing.T) {
	tel := newTelemetry(t)
	theirs := otelriver.NewMiddleware(&otelriver.MiddlewareConfig{
		EnableTracePropagation: true, TracerProvider: tel.provider,
	})
	ours := riverq.New(riverq.WithMiddleware(tel.middleware()))
	onEach(t, func(t *testing.T, db database) {
		for _, plugins := range [][]rivertype.Plugin{{theirs, ours}, {ours, theirs}} {
			tel.recorder.Reset()
			c := insertOnly(t, db, plugins...)
			ctx := core.ContextWithAttrs(tel.request(t), slog.String("order_id", "o-1"))
			inserted, err := c.Insert(ctx, mailArgs{"o-1"}, nil)
			require.NoError(t, err)
			id := tel.span(t, "river.insert_many").SpanContext().SpanID().String()
			metadata := metadataOf(t, c, inserted.Job.ID)
			assert.Contains(t, metadata["traceparent"], id)
			assert.Equal(t, map[string]any{"attrs": map[string]any{"order_id": "o-1"}}, metadata["afterspan"])
		}
	})
}

// A job that was handed over through otelriver links to the insert, a trace of its own. The request is its
// origin, and no span of the request counts as its spawner.
func TestHandoverBesideOtelriver(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel, done := newTelemetry(t), newTelemetry(t)
		theirs := otelriver.NewMiddleware(&otelriver.MiddlewareConfig{
			EnableTracePropagation: true, TracerProvider: tel.provider,
		})
		m := newTasks(t, core.WithMiddleware(tel.middleware(), riverq.Handover(insertOnly(t, db, theirs))))
		ctx, request := tel.start(t.Context(), "request")
		riverq.Go(ctx, m, mailArgs{"o-1"}, sleepy)
		request.End()
		_, err := shutdownNow(m)
		require.NoError(t, err)
		startWorker(t, db, riverq.New(riverq.WithMiddleware(done.middleware())), succeed)
		insert, job := tel.span(t, "river.insert_many").SpanContext(), done.span(t, "send_mail")
		assertLinked(t, job, insert)
		assert.Equal(t, insert.TraceID().String(), value(job, "afterspan.spawner.trace_id"))
		assert.Equal(t, insert.SpanID().String(), value(job, "afterspan.spawner.span_id"))
		assert.Equal(t, request.SpanContext().TraceID().String(), value(job, "afterspan.origin.trace_id"))
	})
}
