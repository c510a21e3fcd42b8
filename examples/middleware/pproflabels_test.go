package middleware

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"sync"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
)

// profiled reports whether the goroutine profile has a goroutine with that label now.
func profiled(key, value string) bool {
	var out bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&out, 0); err != nil {
		panic(err)
	}
	goroutines, err := profile.Parse(&out)
	if err != nil {
		panic(err)
	}
	return slices.ContainsFunc(goroutines.Sample, func(s *profile.Sample) bool {
		return slices.Contains(s.Label[key], value)
	})
}

// after calls f on the way back, on every way out.
func after(f func()) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			defer f()
			return next(ctx, t)
		}
	})
}

func ExamplePprofLabels() {
	tasks := newManager(
		after(func() { fmt.Println("outside:", profiled("task", "export"), profiled("tenant", "ada")) }),
		PprofLabels("tenant"))
	_ = tasks.Go(background, "export", func(context.Context) error {
		fmt.Println("inside:", profiled("task", "export"), profiled("tenant", "ada"))
		return nil
	}, tenant("ada")).Wait(background)
	// Output:
	// inside: true true
	// outside: false false
}

// What a task starts and leaves running can still be told.
func TestPprofLabelsOfAGoroutineOfATask(t *testing.T) {
	var left sync.WaitGroup
	release := make(chan struct{})
	err := newTestManager(t, PprofLabels()).Go(background, "export", func(context.Context) error {
		left.Go(func() { <-release })
		return nil
	}).Wait(background)
	assert.NoError(t, err)
	assert.True(t, profiled("task", "export"))
	close(release)
	left.Wait()
	assert.False(t, profiled("task", "export"))
}

// Nothing is left behind on any way out.
func TestPprofLabelsAreGone(t *testing.T) {
	for name, fn := range map[string]core.Func{"succeeds": succeed, "fails": fail, "crashes": crash, "quits": quit} {
		t.Run(name, func(t *testing.T) {
			seen, left := false, true
			tasks := newTestManager(t,
				after(func() { left = profiled("task", name) }),
				PprofLabels(),
				after(func() { seen = profiled("task", name) }))
			_ = tasks.Go(background, name, fn).Wait(background)
			assert.True(t, seen)
			assert.False(t, left)
		})
	}
}

// The labels of the request that started the task are there inside, and again outside.
func TestPprofLabelsOfARequest(t *testing.T) {
	inside, outside := "", ""
	tasks := newTestManager(t, after(func() { outside = fmt.Sprint(profiled("task", "export"), profiled("route", "/orders")) }), PprofLabels())
	pprof.Do(background, pprof.Labels("route", "/orders"), func(ctx context.Context) {
		_ = tasks.Go(ctx, "export", func(ctx context.Context) error {
			inside = fmt.Sprint(profiled("task", "export"), profiled("route", "/orders"))
			return nil
		}).Wait(background)
	})
	assert.Equal(t, "true true", inside)
	assert.Equal(t, "false true", outside)
}

func TestPprofLabelsChangesNoEnding(t *testing.T) {
	checkEveryEnding(t, func() core.Middleware { return PprofLabels("tenant") })
}
