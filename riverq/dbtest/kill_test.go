package dbtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

// rescueAfter is how long the job of a dead process counts as running. River's default is an hour.
const rescueAfter = 2 * time.Second

// A process is killed as it works on a job. Another one takes the job over. The trace of the insert
// shows that the job began, and the second attempt links to it.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	onEach(t, func(t *testing.T, db database) {
		tel := newTelemetry(t)
		c := insertOnly(t, db, riverq.New(riverq.WithMiddleware(tel.middleware())))
		ctx, request := tel.start(t.Context(), "request")
		inserted, err := c.Insert(ctx, mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		request.End()
		id := inserted.Job.ID

		spans := filepath.Join(t.TempDir(), "spans")
		var began struct{ Attempt int }
		victim := startProgram(t, programInput{Program: "worker", Database: db.url(), Spans: spans + "1"})
		victim.awaitLine(t, &began)
		require.Equal(t, 1, began.Attempt)
		victim.kill()
		require.Eventually(t, func() bool {
			job, err := c.JobGet(t.Context(), id)
			return err == nil && time.Since(*job.AttemptedAt) > rescueAfter
		}, time.Minute, 50*time.Millisecond)
		// The dead process may lead River's clients for some seconds more. Only the leader rescues jobs.
		require.NoError(t, db.exec(t.Context(), "DELETE FROM "+db.table("river_leader")))
		heir := startProgram(t, programInput{Program: "worker", Database: db.url(), Spans: spans + "2"})
		heir.awaitLine(t, &began)
		assert.Equal(t, 2, began.Attempt)
		awaitState(t, c, id, rivertype.JobStateCompleted)
		heir.kill()

		spawn := tel.span(t, "spawn send_mail")
		assert.Equal(t, "pending", value(spawn, "afterspan.task.outcome"))
		first, second := readSpans(t, spans+"1"), readSpans(t, spans+"2")
		assert.NotContains(t, first, "send_mail", "nobody ended it")
		assert.Contains(t, first, "open mailbox", "what it had done is there")
		job := second["send_mail"]
		require.Len(t, job.Links, 1)
		assert.Equal(t, spawn.SpanContext().SpanID().String(), job.Links[0].SpanContext.SpanID)
		assert.Equal(t, spawn.SpanContext().TraceID().String(), job.Links[0].SpanContext.TraceID)
		assert.Equal(t, "completed", job.value("afterspan.task.outcome"))
		assert.EqualValues(t, 2, job.value("afterspan.task.attempt"))
		assert.EqualValues(t, id, job.value("afterspan.task.id"))
		assert.EqualValues(t, 1, job.value("river.rescues"))
	})
}

// An exportedSpan is a span as stdouttrace writes it.
type exportedSpan struct {
	Name  string
	Links []struct {
		SpanContext struct{ TraceID, SpanID string }
	}
	Attributes []struct {
		Key   string
		Value struct{ Value any }
	}
}

func (s exportedSpan) value(key string) any {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.Value
		}
	}
	return nil
}

// readSpans returns the spans in a file, by name.
func readSpans(t *testing.T, file string) map[string]exportedSpan {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	spans := make(map[string]exportedSpan)
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		var span exportedSpan
		require.NoError(t, json.Unmarshal(lines.Bytes(), &span))
		spans[span.Name] = span
	}
	return spans
}

// runWorker is a process that does jobs until it is killed. It hangs in the first attempt at a job.
func runWorker(ctx context.Context, in programInput) error {
	file, err := os.Create(in.Spans)
	if err != nil {
		return err
	}
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(file))
	if err != nil {
		return err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	db, err := openDatabase(ctx, in.Database)
	if err != nil {
		return err
	}
	config := newConfig(riverq.New(riverq.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(provider), otelmw.WithMeterProvider(metricnoop.NewMeterProvider())))))
	config.JobTimeout, config.RescueStuckJobsAfter = rescueAfter, rescueAfter
	river.AddWorker(config.Workers, river.WorkFunc(func(ctx context.Context, job *river.Job[mailArgs]) error {
		_, span := provider.Tracer("mail").Start(ctx, "open mailbox")
		span.End()
		if err := say(map[string]int{"Attempt": job.Attempt}); err != nil {
			return err
		}
		if job.Attempt == 1 {
			<-ctx.Done()
		}
		return ctx.Err()
	}))
	c, err := db.client(config)
	if err != nil {
		return err
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	select {} // until it is killed
}
