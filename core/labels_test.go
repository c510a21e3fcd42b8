package core_test

import (
	"context"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// A task has the pprof labels of the context given to Go, which are those of the goroutine that spawned it after pprof.Do. If it was
// queued, too: never those of the task whose end started it.
func TestATaskHasTheLabelsOfItsSpawner(t *testing.T) {
	m := newManager(core.WithLimit(1, -1))
	serial := &core.Keyed{}
	var spawned []*core.Task
	seen := make(chan string, 10)
	see := func(context.Context) error { seen <- labelsOf(t, "core_test.labelsOf"); return nil }
	release := make(chan struct{})
	pprof.Do(t.Context(), pprof.Labels("route", "/a"), func(ctx context.Context) {
		spawned = append(spawned, m.Go(ctx, "first", func(ctx context.Context) error {
			<-release
			return see(ctx)
		}))
	})
	spawned = append(spawned, m.Go(t.Context(), "none", see))
	pprof.Do(t.Context(), pprof.Labels("route", "/b"), func(ctx context.Context) {
		spawned = append(spawned, m.Go(ctx, "another", see), m.Go(ctx, "serial", see, core.WithKey(serial, "k")))
	})
	spawned = append(spawned, m.Go(t.Context(), "none, serial", see, core.WithKey(serial, "k")))
	close(release)
	for _, task := range spawned {
		require.NoError(t, task.Wait(t.Context()))
	}
	for _, want := range []string{`{"route":"/a"}`, "", `{"route":"/b"}`, `{"route":"/b"}`, ""} {
		assert.Equal(t, want, <-seen)
	}
	require.NoError(t, m.Close())
}

// labelsOf returns the labels of the goroutine that has a function in its stack, as the goroutine profile writes them.
func labelsOf(t *testing.T, function string) string {
	var profile strings.Builder
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
	for block := range strings.SplitSeq(profile.String(), "\n\n") {
		if !strings.Contains(block, function) {
			continue
		}
		if _, labels, ok := strings.Cut(block, "# labels: "); ok {
			labels, _, _ = strings.Cut(labels, "\n")
			return labels
		}
	}
	return ""
}
