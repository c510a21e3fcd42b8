package publisher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

var errBroker = errors.New("broker: no acknowledgement")

// newManager returns a manager that discards its log.
func newManager(opts ...core.Option) *core.Manager {
	return core.New(append([]core.Option{core.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
}

// bubble runs a test with a fake clock. The test fails if a goroutine is left at its end.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// If a test fails early, wait for goroutines that still sleep. They would otherwise end the
		// whole run with a panic.
		t.Cleanup(func() {
			if t.Failed() {
				time.Sleep(10_000 * time.Hour)
			}
		})
		test(t)
	})
}

// inBubble runs a subtest in a bubble of its own.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { bubble(t, test) })
}

// goroutines returns how many goroutines have a function of this module on their stack.
func goroutines() (count int) {
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+100)
	n, _ := runtime.GoroutineProfile(records)
	for _, record := range records[:n] {
		frames := runtime.CallersFrames(record.Stack())
		for more := true; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			if strings.HasPrefix(frame.Function, "github.com/afterspan/afterspan/") {
				count++
				break
			}
		}
	}
	return count
}

// settled waits until the goroutines of earlier tests have ended. It returns how many goroutines a
// bubble starts with: the test's own, and the one that started the bubble.
func settled() int {
	const own = 2
	for goroutines() > own {
		runtime.Gosched()
	}
	return own
}

// within returns a context that is done after d.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// cancelled returns a context that is done.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// small returns an event of the thread, with only the required fields and a content that tells it
// apart.
func small(thread, content string) publisher.Event {
	return publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress, ThreadID: thread, Content: content,
	}
}

// full returns an event with all fields set.
func full() publisher.Event {
	return publisher.Event{
		ID: "0192d7a0-0000-7000-8000-000000000001", Sequence: 7,
		Kind: publisher.KindToolExecution, Type: publisher.TypeResult,
		Content:       "42 files",
		ContentBlocks: []map[string]any{{"type": "text", "text": "42 files"}},
		ContentType:   []publisher.ContentType{publisher.ContentText, publisher.ContentToolResult},
		Data:          map[string]any{"files": 42.0, "list": []any{"a", nil, true}},
		NodeName:      "search", RunID: "r-1", ThreadID: "t-1", UserID: "u-1",
		Timestamp: time.Unix(1_700_000_000, 123_456_000).UTC(),
		IsError:   true, Metadata: map[string]any{"is_stream": false},
		TraceParent: "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01", TraceState: "vendor=1",
	}
}

// inbox is a publisher that keeps its events.
type inbox struct {
	mu     sync.Mutex
	events []publisher.Event
}

func (b *inbox) Publish(_ context.Context, e publisher.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	return nil
}

func (b *inbox) all() []publisher.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]publisher.Event{}, b.events...)
}

// contents returns the contents of the events, in the order of arrival.
func (b *inbox) contents() []string {
	contents := []string{}
	for _, e := range b.all() {
		contents = append(contents, e.Content)
	}
	return contents
}

// sequences returns the sequence numbers of the events of a key, in the order of arrival.
func (b *inbox) sequences(key string) []uint64 {
	numbers := []uint64{}
	for _, e := range b.all() {
		if e.Key() == key {
			numbers = append(numbers, e.Sequence)
		}
	}
	return numbers
}

// only returns the one event that has arrived.
func (b *inbox) only(t *testing.T) publisher.Event {
	t.Helper()
	all := b.all()
	require.Len(t, all, 1)
	return all[0]
}

// slowly returns a publisher that keeps an event after d. It gives up if ctx is done before.
func (b *inbox) slowly(d time.Duration) publisher.Func {
	return func(ctx context.Context, e publisher.Event) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return b.Publish(ctx, e)
		}
	}
}

// until returns a publisher that keeps an event only after release is closed.
func (b *inbox) until(release <-chan struct{}) publisher.Func {
	return func(ctx context.Context, e publisher.Event) error {
		<-release
		return b.Publish(ctx, e)
	}
}

// The following publishers lose the event.

func fail(context.Context, publisher.Event) error { return errBroker }

// obey waits until its context is done.
func obey(ctx context.Context, _ publisher.Event) error {
	<-ctx.Done()
	return ctx.Err()
}

// hang returns a publisher that ignores its context and waits for release.
func hang(release <-chan struct{}) publisher.Func {
	return func(context.Context, publisher.Event) error {
		<-release
		return errBroker
	}
}

// requireEnds waits for the end of a task, and returns its error.
func requireEnds(t *testing.T, task *core.Task) error {
	t.Helper()
	select {
	case <-task.Done():
	case <-time.After(10_000 * time.Hour): // of the fake clock
		require.Fail(t, "the task never ends", "%v", task)
	}
	return task.Err()
}

// assertOutcome waits for the end of a task and checks its outcome.
func assertOutcome(t *testing.T, want core.Outcome, task *core.Task) {
	t.Helper()
	_ = requireEnds(t, task)
	assert.Equal(t, want.String(), task.Outcome().String(), "%v: %v", task, task.Err())
}

// publish publishes an event with the function Go, and returns the task and its error.
func publish(t *testing.T, p publisher.Publisher, e publisher.Event) (*core.Task, error) {
	t.Helper()
	m := newManager()
	task := publisher.Go(t.Context(), m, p, e)
	require.NoError(t, m.Wait(t.Context()))
	return task, task.Err()
}

// toJSON returns the event as consumers receive it.
func toJSON(t *testing.T, e publisher.Event) string {
	t.Helper()
	b, err := json.Marshal(e)
	require.NoError(t, err)
	return string(b)
}

// logbook keeps the lines of a JSON log.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logbook) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// with returns the lines with the message msg.
func (b *logbook) with(t *testing.T, msg string) (found []map[string]any) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for one := range bytes.Lines(b.buf.Bytes()) {
		var line map[string]any
		require.NoError(t, json.Unmarshal(one, &line), "%s", one)
		if line["msg"] == msg {
			found = append(found, line)
		}
	}
	return found
}

// span returns a sampled span context, determined by seed.
func span(t *testing.T, seed byte) trace.SpanContext {
	t.Helper()
	state, err := trace.ParseTraceState("vendor=" + string('0'+rune(seed)))
	require.NoError(t, err)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{seed, 15: 1}, SpanID: trace.SpanID{seed, 7: 1},
		TraceFlags: trace.FlagsSampled, TraceState: state,
	})
}

// parent returns s as a traceparent header.
func parent(s trace.SpanContext) string {
	return "00-" + s.TraceID().String() + "-" + s.SpanID().String() + "-" + s.TraceFlags().String()
}
