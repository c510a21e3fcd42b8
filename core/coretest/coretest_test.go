package coretest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
)

var (
	errTask = errors.New("smtp: mailbox full")
	thread  = core.WithAttrs(slog.String("thread_id", "t-1"))
)

func succeed(context.Context) error { return nil }

func fail(context.Context) error { return errTask }

func crash(context.Context) error { panic("a bug") }

func obey(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// ignore goes on for an hour, and fails then.
func ignore(context.Context) error {
	time.Sleep(time.Hour)
	return errTask
}

// hostile is an error that cannot be printed.
type hostile struct{}

func (hostile) Error() string { panic("a bug in Error") }

// failures are the tasks that make a test fail, and the words of the failure.
var failures = map[string]struct {
	fn   core.Func
	want []string
}{
	"an error":          {fail, []string{`task send_receipt#1 {"thread_id":"t-1"} failed: smtp: mailbox full`}},
	"a panic":           {crash, []string{`task send_receipt#1 {"thread_id":"t-1"} panicked: panic: a bug`, "coretest_test.crash("}},
	"Goexit":            {func(context.Context) error { runtime.Goexit(); return nil }, []string{"failed", "Goexit"}},
	"a hostile error":   {func(context.Context) error { return hostile{} }, []string{"failed", "a bug in Error"}},
	"it does not stop":  {ignore, []string{`task send_receipt#1 {"thread_id":"t-1"} did not stop`}},
	"a panic when late": {func(ctx context.Context) error { <-ctx.Done(); panic("a bug") }, []string{"panicked"}},
}

// run runs a test that starts one task, and returns its failures and its output.
func run(t *testing.T, fn core.Func, opts ...core.Option) (failures []string, log string) {
	t.Helper()
	t.Cleanup(func() { time.Sleep(2 * time.Hour) }) // until ignore has returned
	fake := &fakeT{TB: t}
	tasks := coretest.New(fake, opts...)
	tasks.Go(t.Context(), "send_receipt", fn, thread)
	synctest.Wait()
	return fake.end()
}

func TestATestFailsForTheFailuresOfItsTasks(t *testing.T) {
	for name, tc := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failures, _ := run(t, tc.fn)
				require.Len(t, failures, 1)
				for _, want := range tc.want {
					assert.Contains(t, failures[0], want)
				}
			})
		})
	}
}

func TestAllowFailures(t *testing.T) {
	for name, tc := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failures, log := run(t, tc.fn, coretest.AllowFailures())
				assert.Empty(t, failures)
				assert.Contains(t, log, "thread_id=t-1")
			})
		})
	}
}

func TestAllowFailuresAndASpawnThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crash := core.WithMiddleware(core.Middleware{
			Spawn: func(context.Context, *core.Task) context.Context { panic("a bug") },
		})
		failures, _ := run(t, succeed, crash)
		assert.Len(t, failures, 1)
		failures, _ = run(t, succeed, coretest.AllowFailures(), crash)
		assert.Empty(t, failures)
	})
}

// The context of a task whose failure is allowed reaches tasks of a manager where it is not.
func TestAllowFailuresOfOneManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeT{TB: t}
		inner := coretest.New(fake)
		outer := coretest.New(fake, coretest.AllowFailures())
		outer.Go(t.Context(), "outer", func(ctx context.Context) error {
			return inner.Go(ctx, "inner", fail).Wait(ctx)
		})
		synctest.Wait()
		failures, _ := fake.end()
		assert.Equal(t, []string{"task inner#1 failed: smtp: mailbox full"}, failures)
	})
}

func TestATestDoesNotFailFor(t *testing.T) {
	refuse := core.WithMiddleware(core.MiddlewareFunc(func(core.Handler) core.Handler {
		return func(context.Context, *core.Task) error { return core.ErrRejected }
	}))
	for name, test := range map[string]func(t *testing.T, fake *fakeT){
		"success": func(t *testing.T, fake *fakeT) { coretest.New(fake).Go(t.Context(), "task", succeed) },
		"a timeout": func(t *testing.T, fake *fakeT) {
			coretest.New(fake).Go(t.Context(), "task", obey, core.WithTimeout(time.Second))
			time.Sleep(time.Minute)
		},
		"a cancel":       func(t *testing.T, fake *fakeT) { coretest.New(fake).Go(t.Context(), "task", obey).Cancel() },
		"its own end":    func(t *testing.T, fake *fakeT) { coretest.New(fake).Go(t.Context(), "task", obey) },
		"a slow end":     func(t *testing.T, fake *fakeT) { coretest.New(fake).Go(t.Context(), "task", slowly) },
		"a refusal":      func(t *testing.T, fake *fakeT) { coretest.New(fake, refuse).Go(t.Context(), "task", succeed) },
		"a full manager": func(t *testing.T, fake *fakeT) { full(fake).Go(t.Context(), "task", succeed) },
		"a closed manager": func(t *testing.T, fake *fakeT) {
			tasks := coretest.New(fake)
			assert.NoError(t, tasks.Close())
			tasks.Go(t.Context(), "task", succeed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &fakeT{TB: t}
				test(t, fake)
				synctest.Wait()
				failures, _ := fake.end()
				assert.Empty(t, failures)
			})
		})
	}
}

// slowly takes some time to stop.
func slowly(ctx context.Context) error {
	<-ctx.Done()
	time.Sleep(9 * time.Second)
	return errTask
}

func full(t testing.TB) *core.Manager {
	tasks := coretest.New(t, core.WithLimit(1, 0))
	tasks.Go(context.Background(), "holds", obey)
	return tasks
}

func TestOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, log := run(t, succeed)
		assert.Contains(t, log, "level=DEBUG")
		assert.Contains(t, log, "task.name=send_receipt")
		assert.Contains(t, log, "task.outcome=completed")
	})
}

// The task of a test that is over fails, and logs that. The fakeT would panic.
func TestWhatComesAfterTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeT{TB: t}
		tasks := coretest.New(fake)
		task := tasks.Go(t.Context(), "send_receipt", ignore)
		_, before := fake.end()
		assert.Error(t, task.Wait(t.Context()))
		tasks.Go(t.Context(), "late", succeed)
		assert.Equal(t, before, fake.log.String())
		assert.Len(t, fake.failures, 1)
	})
}

func TestOptionsOfNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		failures, log := run(t, ignore,
			core.WithLogger(slog.New(slog.DiscardHandler)), core.WithShutdownTimeout(time.Minute))
		assert.Len(t, failures, 1)
		assert.Empty(t, log)
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

// The tests above use a fakeT. This one runs tests that fail, in a process of its own.
func TestRealTests(t *testing.T) {
	const marker = "AFTERSPAN_TEST_PROCESS"
	if os.Getenv(marker) != "" {
		realTests(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRealTests$")
	cmd.Env = append(os.Environ(), marker+"=1")
	out, err := cmd.CombinedOutput()
	require.ErrorAs(t, err, new(*exec.ExitError))
	got := string(out)
	assert.Contains(t, got, "--- FAIL: TestRealTests/fails")
	assert.Contains(t, got, "task send_receipt#1 failed: smtp: mailbox full")
	assert.Contains(t, got, "task send_receipt#1 did not stop")
	assert.Contains(t, got, "level=DEBUG")
	assert.NotContains(t, got, "--- FAIL: TestRealTests/succeeds")
	assert.NotContains(t, got, "has completed", "the panic of a test that is told something after its end")
}

func realTests(t *testing.T) {
	release := make(chan struct{})
	var late *core.Task
	t.Run("fails", func(t *testing.T) {
		_ = coretest.New(t).Go(t.Context(), "send_receipt", fail).Wait(t.Context())
	})
	t.Run("does not stop", func(t *testing.T) {
		tasks := coretest.New(t, core.WithShutdownTimeout(time.Millisecond))
		late = tasks.Go(t.Context(), "send_receipt", func(context.Context) error { <-release; return errTask })
	})
	t.Run("succeeds", func(t *testing.T) {
		_ = coretest.New(t).Go(t.Context(), "send_receipt", succeed).Wait(t.Context())
	})
	close(release)
	fmt.Println(late.Wait(context.Background()))
}
