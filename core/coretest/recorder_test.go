package coretest_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
)

func TestRecorder(t *testing.T) {
	var rec coretest.Recorder
	assert.Empty(t, rec.Tasks(""))
	tasks := coretest.New(t, coretest.AllowFailures(), core.WithMiddleware(rec.Middleware()), core.WithLimit(1, 0))
	first := tasks.Go(t.Context(), "send_receipt", fail, thread)
	require.Error(t, first.Wait(t.Context()))
	require.NoError(t, tasks.Wait(t.Context()))
	holds := tasks.Go(t.Context(), "reindex", obey)
	refused := tasks.Go(t.Context(), "send_receipt", succeed)

	assertSame(t, rec.Tasks(""), first, holds, refused)
	assertSame(t, rec.Tasks("send_receipt"), first, refused)
	assertSame(t, rec.Tasks("send_receipt", slog.String("thread_id", "t-1")), first)
	assertSame(t, rec.Tasks("send"))
	assert.Equal(t, core.Failed, first.Outcome())
	assert.Equal(t, core.Rejected, refused.Outcome())
}

// A task that a middleware refuses was accepted by the manager.
func TestRecorderAndATaskThatAMiddlewareRefuses(t *testing.T) {
	var rec coretest.Recorder
	tasks := coretest.New(t, core.WithMiddleware(rec.Middleware(), core.MiddlewareFunc(
		func(core.Handler) core.Handler {
			return func(context.Context, *core.Task) error { return core.ErrRejected }
		})))
	task := tasks.Go(t.Context(), "send_receipt", succeed)
	require.ErrorIs(t, task.Wait(t.Context()), core.ErrRejected)
	assertSame(t, rec.Tasks(""), task)
}

// assertSame compares pointers. The assertions of testify would read the tasks while they run.
func assertSame(t *testing.T, got []*core.Task, want ...*core.Task) {
	t.Helper()
	assert.True(t, slices.Equal(got, want), "got %v, want %v", got, want)
}

type secret string

func (s secret) LogValue() slog.Value { return slog.StringValue("***" + string(s[len(s)-1:])) }

func TestRecorderComparesAttributes(t *testing.T) {
	var rec coretest.Recorder
	tasks := coretest.New(t, core.WithMiddleware(rec.Middleware()))
	tasks.Go(t.Context(), "send_receipt", succeed, core.WithAttrs(
		slog.String("thread_id", "t-1"), slog.Any("tags", []string{"a"}), slog.Any("card", secret("4711")), slog.Int("n", 1),
		slog.Group("mail", slog.Any("to", []string{"a"}), slog.Any("card", secret("4711")))))
	for _, tc := range []struct {
		want  int
		attrs []slog.Attr
	}{
		{1, nil},
		{1, []slog.Attr{slog.String("thread_id", "t-1"), slog.Int("n", 1)}},
		{0, []slog.Attr{slog.String("thread_id", "t-1"), slog.Int("n", 2)}},
		{0, []slog.Attr{slog.String("thread_id", "t-2")}}, // as long as t-1, with the same first byte
		{0, []slog.Attr{slog.String("n", "1")}},
		{0, []slog.Attr{slog.String("user", "ada")}},
		{1, []slog.Attr{slog.Any("tags", []string{"a"})}},
		{0, []slog.Attr{slog.Any("tags", []string{"b"})}},
		{1, []slog.Attr{slog.String("card", "***1")}},
		{1, []slog.Attr{slog.Any("card", secret("1"))}},
		{1, []slog.Attr{slog.Group("mail", slog.Any("to", []string{"a"}), slog.Any("card", secret("1")))}},
		{0, []slog.Attr{slog.Group("mail", slog.Any("to", []string{"b"}), slog.Any("card", secret("1")))}},
	} {
		assert.Len(t, rec.Tasks("send_receipt", tc.attrs...), tc.want, "%v", tc.attrs)
	}
}

func TestRecorderOfManyCallers(t *testing.T) {
	const callers, each = 8, 50
	var rec coretest.Recorder
	tasks := coretest.New(t, core.WithMiddleware(rec.Middleware()), core.WithLogger(slog.New(slog.DiscardHandler)))
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for range each {
				task := tasks.Go(t.Context(), strconv.Itoa(caller), succeed)
				mine := rec.Tasks(task.Name())
				assertSame(t, mine[len(mine)-1:], task)
			}
		})
	}
	wg.Wait()
	for caller := range callers {
		assert.Len(t, rec.Tasks(fmt.Sprint(caller)), each)
	}
}
