package main

import (
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
	"github.com/afterspan/afterspan/publisher"
)

func TestAnswerDoesNotWaitForTheNotification(t *testing.T) {
	t.Parallel()
	r, err := openResources(options{folder: testFolder, outDir: t.TempDir()})
	require.NoError(t, err)
	defer func() { assert.NoError(t, r.close()) }()
	var rec coretest.Recorder
	tasks := coretest.New(t, coretest.AllowFailures(), core.WithMiddleware(rec.Middleware()))
	a := newAgent(r, noop.NewTracerProvider(), tasks)
	a.notifyTimeout = time.Hour

	_, err = a.invoke(t.Context(), testQuestion)
	require.NoError(t, err)
	notifies := rec.Tasks("notify", slog.String("thread_id", "thread-1"))
	require.Len(t, notifies, 1)
	assert.Equal(t, core.Pending, notifies[0].Outcome())
	require.NoError(t, tasks.Close())
	assert.Equal(t, core.Cancelled, notifies[0].Outcome())
}

// The index is the one task whose result the agent needs, so its error is the agent's.
func TestAgentNeedsItsIndex(t *testing.T) {
	t.Parallel()
	tasks := coretest.New(t)
	require.NoError(t, tasks.Close())
	a := &agent{
		docs: os.DirFS(testFolder), tracer: noop.NewTracerProvider().Tracer(""), tasks: tasks, events: publisher.NewOrdered(tasks, publisher.Console(failing{})),
	}
	_, err := a.invoke(t.Context(), testQuestion)
	assert.ErrorIs(t, err, core.ErrClosed)
}

func TestFailedPublishIsAFailedTask(t *testing.T) {
	t.Parallel()
	var rec coretest.Recorder
	tasks := coretest.New(t, coretest.AllowFailures(), core.WithMiddleware(rec.Middleware()))
	a := &agent{tasks: tasks, events: publisher.NewOrdered(tasks, publisher.Console(failing{}))}
	a.publishEvent(t.Context(), "plan", publisher.TypeStart, "")
	require.NoError(t, tasks.Wait(t.Context()))
	require.Len(t, rec.Tasks("publish_event"), 1)
	assert.Equal(t, core.Failed, rec.Tasks("publish_event")[0].Outcome())
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("the broker is down") }
