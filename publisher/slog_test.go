package publisher_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// only returns the one line with that message, without its time.
func (b *logbook) only(t *testing.T, msg string) map[string]any {
	t.Helper()
	found := b.with(t, msg)
	require.Len(t, found, 1, "%s", b.buf.String())
	require.Contains(t, found[0], "time")
	delete(found[0], "time")
	return found[0]
}

func TestSlogHasAnAttributeForEachField(t *testing.T) {
	log := &logbook{}
	require.NoError(t, publisher.Slog(log.logger()).Publish(t.Context(), full()))
	line := log.only(t, "tool_execution result")
	want := map[string]any{
		"level": "ERROR", "event_id": full().ID, "timestamp": "2023-11-14T22:13:20.123456Z",
		"node_name": "search", "thread_id": "t-1", "run_id": "r-1", "user_id": "u-1", "content": "42 files", "sequence": 7.0,
		"content_blocks": []any{map[string]any{"type": "text", "text": "42 files"}},
		"data":           map[string]any{"files": 42.0, "list": []any{"a", nil, true}}, "metadata": map[string]any{"is_stream": false},
	}
	for key, value := range want {
		assert.Equal(t, value, line[key], key)
	}
}

func TestSlogLeavesOutWhatIsEmpty(t *testing.T) {
	log := &logbook{}
	e := publisher.Event{ID: "e-1", Kind: "k", Type: "t", Timestamp: time.Unix(0, 0).UTC(), Data: map[string]any{}}
	require.NoError(t, publisher.Slog(log.logger()).Publish(t.Context(), e))
	line := log.only(t, "k t")
	for _, key := range []string{
		"node_name", "thread_id", "run_id", "user_id", "content", "sequence", "content_blocks", "data", "metadata", "content_type",
	} {
		assert.NotContains(t, line, key)
	}
	assert.Equal(t, "INFO", line["level"])
}

func TestSlogLogsErrorsAtERRORAndTheRestAtINFO(t *testing.T) {
	log := &logbook{}
	p := publisher.Slog(log.logger())
	// TypeError alone does not make it an ERROR.
	require.NoError(t, p.Publish(t.Context(), publisher.Event{Kind: "k", Type: publisher.TypeError}))
	require.NoError(t, p.Publish(t.Context(), publisher.Event{Kind: "k", Type: "failed", IsError: true}))
	assert.Equal(t, "INFO", log.only(t, "k error")["level"])
	assert.Equal(t, "ERROR", log.only(t, "k failed")["level"])
}

func TestSlogCompletesTheEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got slog.Record
		h := handlerFunc(func(_ context.Context, r slog.Record) error { got = r.Clone(); return nil })
		require.NoError(t, publisher.Slog(slog.New(h)).Publish(t.Context(), small("t-1", "")))
		assert.Equal(t, time.Now(), got.Time)
		attrs := make(map[string]slog.Value)
		got.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value; return true })
		assert.True(t, attrs["timestamp"].Time().Equal(time.Now()))
	})
}

type handlerFunc func(context.Context, slog.Record) error

func (h handlerFunc) Handle(ctx context.Context, r slog.Record) error { return h(ctx, r) }
func (h handlerFunc) Enabled(context.Context, slog.Level) bool        { return true }
func (h handlerFunc) WithAttrs([]slog.Attr) slog.Handler              { return h }
func (h handlerFunc) WithGroup(string) slog.Handler                   { return h }

// A Logger drops the error of its handler. The task would then count as completed.
func TestSlogReturnsTheErrorOfTheHandler(t *testing.T) {
	h := handlerFunc(func(context.Context, slog.Record) error { return errBroker })
	task, err := publish(t, publisher.Slog(slog.New(h)), small("t-1", ""))
	require.ErrorIs(t, err, errBroker)
	assertOutcome(t, core.Failed, task)
}

type contextKey struct{}

// Handlers read the trace from the context.
func TestSlogGivesTheContextToTheHandler(t *testing.T) {
	var got any
	h := handlerFunc(func(ctx context.Context, _ slog.Record) error { got = ctx.Value(contextKey{}); return nil })
	ctx := context.WithValue(t.Context(), contextKey{}, "value")
	require.NoError(t, publisher.Slog(slog.New(h)).Publish(ctx, full()))
	assert.Equal(t, "value", got)
}

func TestSlogDoesNotWaitPastItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release, logged := make(chan struct{}), make(chan string, 1)
		h := handlerFunc(func(_ context.Context, r slog.Record) error { <-release; logged <- r.Message; return nil })
		p := publisher.Slog(slog.New(h))
		began := time.Now()
		err := p.Publish(within(t, time.Second), full())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		assert.False(t, publisher.IsPermanent(err))
		close(release)
		assert.Equal(t, "tool_execution result", <-logged, "late, but whole")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, p.Publish(ctx, full()), context.Canceled)
		assert.Empty(t, logged)
	})
}

func TestSlogAtALevelThatIsDisabled(t *testing.T) {
	log := &logbook{}
	l := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	require.NoError(t, publisher.Slog(l).Publish(t.Context(), publisher.Event{Kind: "k", Type: "quiet"}))
	require.NoError(t, publisher.Slog(l).Publish(t.Context(), publisher.Event{Kind: "k", Type: "loud", IsError: true}))
	assert.Empty(t, log.with(t, "k quiet"))
	assert.Len(t, log.with(t, "k loud"), 1)
}

func TestSlogWithoutALoggerTakesTheDefaultOfTheMoment(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	p, log := publisher.Slog(nil), &logbook{}
	slog.SetDefault(log.logger())
	require.NoError(t, p.Publish(t.Context(), publisher.Event{Kind: "k", Type: "t"}))
	assert.Len(t, log.with(t, "k t"), 1)
}

func TestSlogKeepsTheLoggersAttributesAndGroups(t *testing.T) {
	log := &logbook{}
	p := publisher.Slog(log.logger().With("service", "agent").WithGroup("event"))
	require.NoError(t, p.Publish(t.Context(), small("t-1", "")))
	line := log.only(t, "node_execution progress")
	assert.Equal(t, "agent", line["service"])
	assert.Equal(t, "t-1", line["event"].(map[string]any)["thread_id"])
}
