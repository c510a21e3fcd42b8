package middleware

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/trace"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracereader "golang.org/x/exp/trace"

	"github.com/afterspan/afterspan/core"
)

// An entry is what the execution tracer has recorded of a user's task.
type entry struct {
	what      string
	task      tracereader.TaskID
	goroutine tracereader.GoID
}

// record runs f under the execution tracer, and returns what was recorded of tasks and regions.
func record(f func()) (entries []entry, err error) {
	var recording bytes.Buffer
	if err := trace.Start(&recording); err != nil {
		return nil, err
	}
	f()
	trace.Stop()
	r, err := tracereader.NewReader(&recording)
	for err == nil {
		var event tracereader.Event
		if event, err = r.ReadEvent(); err == nil {
			entries = appendEntry(entries, event)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return entries, err
}

// kinds are the names of the events that count here.
var kinds = map[tracereader.EventKind]string{
	tracereader.EventTaskBegin:   "TaskBegin",
	tracereader.EventTaskEnd:     "TaskEnd",
	tracereader.EventRegionBegin: "RegionBegin",
	tracereader.EventRegionEnd:   "RegionEnd",
	tracereader.EventLog:         "Log",
}

func appendEntry(entries []entry, e tracereader.Event) []entry {
	var what string
	var id tracereader.TaskID
	switch e.Kind() {
	case tracereader.EventTaskBegin, tracereader.EventTaskEnd:
		what, id = e.Task().Type, e.Task().ID
	case tracereader.EventRegionBegin, tracereader.EventRegionEnd:
		what, id = e.Region().Type, e.Region().Task
	case tracereader.EventLog:
		what, id = e.Log().Category+" "+e.Log().Message, e.Log().Task
	default:
		return entries
	}
	return append(entries, entry{kinds[e.Kind()] + " " + what, id, e.Goroutine()})
}

func ExampleTraceRegion() {
	tasks := newManager(TraceRegion())
	entries, err := record(func() {
		_ = tasks.Go(background, "reindex", func(ctx context.Context) error {
			defer trace.StartRegion(ctx, "read").End()
			return nil
		}).Wait(background)
	})
	for _, e := range entries {
		fmt.Println(e.what)
	}
	fmt.Println(err)
	// Output:
	// TaskBegin reindex
	// RegionBegin run
	// RegionBegin read
	// RegionEnd read
	// Log outcome completed
	// RegionEnd run
	// TaskEnd reindex
	// <nil>
}

// However a run ends, its region ends on the goroutine of the task, and the trace can be read.
func TestTraceRegionEnds(t *testing.T) {
	for outcome, fn := range map[string]core.Func{"completed": succeed, "failed": fail, "crashed": crash, "quit": quit} {
		t.Run(outcome, func(t *testing.T) {
			tasks := newTestManager(t, TraceRegion())
			entries, err := record(func() { _ = tasks.Go(background, "reindex", fn).Wait(background) })
			require.NoError(t, err)
			require.Len(t, entries, 5)
			assert.Equal(t, "RegionEnd run", entries[3].what)
			for _, e := range entries {
				assert.Equal(t, entries[0].task, e.task)
				assert.Equal(t, entries[0].goroutine, e.goroutine)
			}
		})
	}
}

// A middleware further in calls next on another goroutine. The region stays where it began.
func TestTraceRegionAndAnotherGoroutine(t *testing.T) {
	elsewhere := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, task *core.Task) error {
			result := make(chan error)
			go func() { result <- next(ctx, task) }()
			return <-result
		}
	})
	tasks := newTestManager(t, TraceRegion(), elsewhere)
	entries, err := record(func() {
		_ = tasks.Go(background, "reindex", func(ctx context.Context) error {
			defer trace.StartRegion(ctx, "read").End()
			return nil
		}).Wait(background)
	})
	require.NoError(t, err)
	require.Len(t, entries, 7)
	assert.Equal(t, "RegionBegin read", entries[2].what)
	assert.NotEqual(t, entries[0].goroutine, entries[2].goroutine)
	assert.Equal(t, entries[0].task, entries[2].task)
	assert.Equal(t, entries[1].goroutine, entries[5].goroutine)
}

func TestTraceRegionOfEachAttempt(t *testing.T) {
	tasks := newTestManager(t, Retry(3, noPauses), TraceRegion())
	entries, err := record(func() { _ = tasks.Go(background, "reindex", failsTwice()).Wait(background) })
	require.NoError(t, err)
	require.Len(t, entries, 15)
	assert.NotEqual(t, entries[0].task, entries[5].task)
}

func TestTraceRegionChangesNoEnding(t *testing.T) { checkEveryEnding(t, TraceRegion) }
