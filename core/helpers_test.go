package core_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// newManager returns a manager that logs to nowhere.
func newManager(opts ...core.Option) *core.Manager {
	return core.New(append([]core.Option{core.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
}

// bubble runs a test with a fake clock. It fails if a goroutine is left behind.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// What sleeps when a test fails early would end the whole run with a panic.
		t.Cleanup(func() {
			if t.Failed() {
				time.Sleep(10_000 * time.Hour)
			}
		})
		test(t)
	})
}

// inBubble runs one case of a table in a bubble of its own.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { bubble(t, test) })
}

// inProcess runs the whole of a test in a process of its own, since what it is about would end this one.
func inProcess(t *testing.T, test func(*testing.T)) {
	t.Helper()
	const marker = "AFTERSPAN_TEST_PROCESS"
	if os.Getenv(marker) != "" {
		test(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), marker+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// What the tasks of these tests do.

var errTask = errors.New("smtp: mailbox full")

func succeed(context.Context) error { return nil }

func fail(context.Context) error { return errTask }

// obey ends as soon as its context is done, as every task should.
func obey(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// ignore takes d, whatever becomes of its context.
func ignore(d time.Duration) core.Func {
	return func(context.Context) error { time.Sleep(d); return nil }
}

// ignoreAndFail takes d, whatever becomes of its context, and fails then.
func ignoreAndFail(d time.Duration) core.Func {
	return func(context.Context) error { time.Sleep(d); return errTask }
}

// during takes d, or less if its context is done before.
func during(d time.Duration) core.Func {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
}

// until ends when release is closed, and not before.
func until(release <-chan struct{}) core.Func {
	return func(context.Context) error { <-release; return nil }
}

// spawnFunc returns a middleware that only sees the spawn.
func spawnFunc(f func(context.Context, *core.Task) context.Context) core.Middleware {
	return core.Middleware{Spawn: f}
}

// around is a middleware that only sees the run.
func around(h func(ctx context.Context, t *core.Task, next core.Handler) error) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error { return h(ctx, t, next) }
	})
}

// seconds is a context that is done after d.
func seconds(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// requireBalanced checks the equation that holds at every instant.
func requireBalanced(t *testing.T, s core.Stats) {
	t.Helper()
	require.True(t, balanced(s), "%+v", s)
}

// counts returns the Stats of m without those that depend on how long tasks have been running.
func counts(m *core.Manager) core.Stats {
	s := m.Stats()
	s.Overdue, s.Oldest = 0, 0
	return s
}

func balanced(s core.Stats) bool {
	return s.Running >= 0 && s.Queued >= 0 &&
		s.Created == uint64(s.Running)+uint64(s.Queued)+s.Completed+s.Failed+s.Cancelled+s.TimedOut+s.Rejected
}

// requireAccounted checks the equation of every report of a shutdown.
func requireAccounted(t *testing.T, s core.ShutdownStats) {
	t.Helper()
	require.Equal(t, s.InitialTasks+s.SpawnedTasks,
		s.CompletedTasks+s.FailedTasks+s.CancelledTasks+s.TimedOutTasks+s.RejectedTasks+s.RemainingTasks, "%+v", s)
}

func namesOf(tasks []core.TaskInfo) (names []string) {
	for _, task := range tasks {
		names = append(names, task.Name)
	}
	return names
}

func isDone(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// journal is a list that many goroutines write.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string{}, j.lines...)
}

// logbook keeps what a manager logs, at every level.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logbook) option() core.Option {
	return core.WithLogger(slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

func (b *logbook) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// line is a line of the log.
type line map[string]any

func (l line) msg() string   { return l["msg"].(string) }
func (l line) level() string { return l["level"].(string) }

// task returns the line's group of that name.
func (l line) task() map[string]any {
	group, _ := l["task"].(map[string]any)
	return group
}

func (b *logbook) lines(t *testing.T) (lines []line) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for one := range bytes.Lines(b.buf.Bytes()) {
		var l line
		require.NoError(t, json.Unmarshal(one, &l), "%s", one)
		lines = append(lines, l)
	}
	return lines
}

// with returns the lines with that message.
func (b *logbook) with(t *testing.T, msg string) (found []line) {
	t.Helper()
	for _, l := range b.lines(t) {
		if l.msg() == msg {
			found = append(found, l)
		}
	}
	return found
}

// only returns the one line with that message.
func (b *logbook) only(t *testing.T, msg string) line {
	t.Helper()
	found := b.with(t, msg)
	require.Len(t, found, 1, "lines %q in %v", msg, b.lines(t))
	return found[0]
}

// What a manager logs.
const (
	msgCreated    = "background task created"
	msgCompleted  = "background task completed"
	msgFailed     = "background task failed"
	msgCancelled  = "background task cancelled"
	msgTimedOut   = "background task timed out"
	msgRefused    = "background task refused"
	msgSuppressed = "more background tasks refused"
	msgOverdue    = "background task still running after cancellation"
	msgStuck      = "background task waits for a task that is queued behind it"
	msgLeftOver   = "background task left over at the end of the shutdown"
	msgMoreLeft   = "more background tasks left over at the end of the shutdown"
	msgBegan      = "shutdown of background tasks began"
	msgEnded      = "shutdown of background tasks ended"
)

// requireEnds waits for the end of a task, in a test where it might never come.
func requireEnds(t *testing.T, task *core.Task) {
	t.Helper()
	select {
	case <-task.Done():
	case <-time.After(10_000 * time.Hour): // of the fake clock
		require.Fail(t, "the task never ends", "%v: %+v", task, task.Info())
	}
}

// assertOutcome checks what is left of a task that has ended.
func assertOutcome(t *testing.T, want core.Outcome, task *core.Task) {
	t.Helper()
	requireEnds(t, task)
	assert.Equal(t, want.String(), task.Outcome().String(), "%v: %v", task, task.Err())
}
