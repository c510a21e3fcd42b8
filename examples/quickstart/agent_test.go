package main

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

func TestAnswerDoesNotWaitForTheNotification(t *testing.T) {
	t.Parallel()
	r, err := openResources(options{folder: testFolder, outDir: t.TempDir()})
	require.NoError(t, err)
	defer func() { assert.NoError(t, r.close()) }()
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	a := newAgent(r, noop.NewTracerProvider(), tasks)
	a.notifyTimeout = time.Hour

	_, err = a.invoke(t.Context(), testQuestion)
	require.NoError(t, err)
	assert.True(t, slices.ContainsFunc(tasks.Tasks(), func(i core.TaskInfo) bool { return i.Name == "notify" }))
	require.NoError(t, tasks.Close())
	assert.Positive(t, tasks.Stats().Cancelled)
}

// The index is the one task whose result the agent needs, so its error is the agent's.
func TestAgentNeedsItsIndex(t *testing.T) {
	t.Parallel()
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, tasks.Close())
	a := &agent{
		docs: os.DirFS(testFolder), tracer: noop.NewTracerProvider().Tracer(""), tasks: tasks, events: publisher.NewOrdered(tasks, publisher.Console(failing{})),
	}
	_, err := a.invoke(t.Context(), testQuestion)
	assert.ErrorIs(t, err, core.ErrClosed)
}

func TestFailedPublishIsAFailedTask(t *testing.T) {
	t.Parallel()
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	a := &agent{tasks: tasks, events: publisher.NewOrdered(tasks, publisher.Console(failing{}))}
	a.publishEvent(t.Context(), "plan", publisher.TypeStart, "")
	require.NoError(t, tasks.Wait(t.Context()))
	assert.Equal(t, core.Stats{Created: 1, Failed: 1}, tasks.Stats())
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("the broker is down") }
