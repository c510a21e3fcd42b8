package taskz_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// heap returns the size of what is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// large returns a text of 256 KiB that nobody else has.
func large() string { return strings.Repeat("x", 256<<10) }

// However much tasks bring along, what is kept of each has a bound: no text is kept alive by its start.
func TestMemoryHasABound(t *testing.T) {
	s := newService(t)
	log := slog.New(s.page.LogHandler(slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{ReplaceAttr: drop})))
	const tasks, most = 40, 13 << 10
	bring := func() core.TaskOption {
		var attrs []slog.Attr
		for range 2 {
			attrs = append(attrs, slog.String(large(), large()), slog.Any("any", errors.New(large())))
		}
		return core.WithAttrs(attrs...)
	}
	before := heap()
	for i := range tasks {
		s.run("name", func(ctx context.Context) error {
			for range 20 {
				log.InfoContext(ctx, large(), "key", large())
			}
			if i%2 == 0 {
				panic(errors.New(large()))
			}
			return errors.New(large())
		}, bring())
		s.run(large(), succeed, bring()) // the name of no series
	}
	grown := int64(heap()) - int64(before)
	require.Less(t, grown, int64(2*tasks*most+1<<20), "a megabyte for whatever else there is")
	require.Len(t, names(at(s.json("?limit=1000"), "ended", "failed")), tasks)
	runtime.KeepAlive(s)
}

// However many different answers readers ask for, 16 MiB of them are kept, and none once they are stale, also if
// nobody asks any more.
func TestAnswersHaveABound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const mebibyte = 1 << 20
		s := newService(t)
		hostile := strings.Repeat("<", 2000) // six times as long in JSON
		for range 300 {
			s.run("send", func(context.Context) error { return errors.New(hostile) }, core.WithAttrs(slog.String("a", hostile)))
		}
		before := heap()
		grown := func() int64 { return int64(heap()) - int64(before) }
		for i := range 32 {
			w := s.get("?format=json&limit=300&q=" + strings.Repeat("%3C", i+1))
			require.Greater(t, w.Body.Len(), 2*mebibyte)
		}
		require.Less(t, grown(), int64(18*mebibyte))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Less(t, grown(), int64(2*mebibyte))
		runtime.KeepAlive(s)
	})
}

// What a reader has seen keeps no values of tasks that have ended, even if it was the last one.
func TestTheLastSnapshotIsFreed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		before := heap()
		for range 40 {
			s.start("send", during(time.Millisecond), core.WithAttrs(slog.String("a", large())))
		}
		synctest.Wait()
		require.Len(t, names(s.json("")["running"]), 40)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Less(t, int64(heap())-int64(before), int64(2<<20), "of ten")
		runtime.KeepAlive(s)
	})
}

// drop leaves out everything, so that the log itself keeps nothing.
func drop([]string, slog.Attr) slog.Attr { return slog.Attr{} }
