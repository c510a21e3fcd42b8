package middleware

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
)

func noPauses() backoff.BackOff { return &backoff.ZeroBackOff{} }

func minutes() backoff.BackOff { return backoff.NewConstantBackOff(time.Minute) }

// failsTwice returns a task that succeeds when it is tried the third time.
func failsTwice() core.Func {
	tries := 0
	return func(context.Context) error {
		if tries++; tries < 3 {
			return errMail
		}
		return nil
	}
}

// The retry is further in than otelmw: one span for all attempts.
func ExampleRetry() {
	tel := newTelemetry()
	tasks := newManager(tel.middleware(), Retry(3, noPauses))
	tries := 0
	_ = tasks.Go(background, "send_receipt", func(context.Context) error {
		if tries++; tries < 3 {
			fmt.Println("try", tries, "fails")
			return errMail
		}
		fmt.Println("try", tries, "succeeds")
		return nil
	}).Wait(background)
	tel.print()
	// Output:
	// try 1 fails
	// try 2 fails
	// try 3 succeeds
	// span send_receipt afterspan.task.outcome=completed
}

// The retry is outside of otelmw: a span for each attempt.
func ExampleRetry_outside() {
	tel := newTelemetry()
	tasks := newManager(Retry(3, noPauses), tel.middleware())
	task := tasks.Go(background, "send_receipt", failsTwice())
	_ = task.Wait(background)
	tel.print()
	fmt.Println("the task:", task.Outcome())
	// Output:
	// span send_receipt afterspan.task.outcome=failed error.type=*middleware.mailError
	// span send_receipt afterspan.task.attempt=2 afterspan.task.outcome=failed error.type=*middleware.mailError
	// span send_receipt afterspan.task.attempt=3 afterspan.task.outcome=completed
	// the task: completed
}

func TestRetryPauses(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		began := time.Now()
		assert.NoError(t, tasks.Go(background, "send_receipt", failsTwice()).Wait(background))
		assert.Equal(t, 2*time.Minute, time.Since(began))
	}, func() core.Middleware { return Retry(3, minutes) })
}

func TestRetryGivesUp(t *testing.T) {
	tries := 0
	task := newTestManager(t, Retry(2, noPauses)).Go(background, "send_receipt", func(context.Context) error {
		tries++
		return errMail
	})
	assert.Equal(t, errMail, task.Wait(background))
	assert.Equal(t, 2, tries)
}

func TestRetryDoesNotTryAgain(t *testing.T) {
	for name, fn := range map[string]core.Func{
		"panic":     crash,
		"goexit":    func(context.Context) error { runtime.Goexit(); return nil },
		"permanent": func(context.Context) error { return backoff.Permanent(errMail) },
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			task := newTestManager(t, Retry(3, noPauses)).Go(background, name, func(ctx context.Context) error {
				tries++
				return fn(ctx)
			})
			assert.Error(t, task.Wait(background))
			assert.Equal(t, core.Failed, task.Outcome())
			assert.Equal(t, 1, tries)
		})
	}
}

func TestRetryIsInterruptedInItsPause(t *testing.T) {
	for cause, end := range map[error]func(*core.Manager, *core.Task){
		core.ErrCancelled: func(_ *core.Manager, task *core.Task) { task.Cancel() },
		core.ErrShutdown:  func(tasks *core.Manager, _ *core.Task) { _ = tasks.Close() },
		core.ErrTimeout:   func(*core.Manager, *core.Task) { time.Sleep(30 * time.Second) },
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, tasks *core.Manager) {
				began := time.Now()
				task := tasks.Go(background, "send_receipt", fail, core.WithTimeout(30*time.Second))
				synctest.Wait()
				end(tasks, task)
				err := task.Wait(background)
				assert.ErrorIs(t, err, cause)
				assert.ErrorIs(t, err, errMail, "why there was a pause")
				assert.NotEqual(t, core.Failed, task.Outcome())
				assert.Less(t, time.Since(began), time.Minute)
			}, func() core.Middleware { return Retry(3, minutes) })
		})
	}
}

// The other attempts are not for a task whose time is up.
func TestRetryOfATaskThatTimedOut(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		tries := 0
		task := tasks.Go(background, "send_receipt", func(ctx context.Context) error {
			tries++
			return untilDone(ctx)
		}, core.WithTimeout(time.Second))
		assert.ErrorIs(t, task.Wait(background), core.ErrTimeout)
		assert.Equal(t, core.TimedOut, task.Outcome())
		assert.Equal(t, 1, tries)
	}, func() core.Middleware { return Retry(3, minutes) })
}

// Each attempt is a span of its own also where the attempts end in a panic.
func TestRetryOutsideOfTheSpanAndAPanic(t *testing.T) {
	tel := newTelemetry()
	tasks := newTestManager(t, Retry(3, noPauses), tel.middleware())
	tries := 0
	err := tasks.Go(background, "send_receipt", func(context.Context) error {
		if tries++; tries == 2 {
			panic(errors.New("a bug"))
		}
		return errMail
	}).Wait(background)
	assert.ErrorAs(t, err, new(*core.PanicError))
	assert.Equal(t, []string{
		"span send_receipt afterspan.task.outcome=failed error.type=*middleware.mailError",
		"span send_receipt afterspan.task.attempt=2 afterspan.task.outcome=failed error.type=panic",
	}, tel.lines())
}

func TestRetryChangesNoEnding(t *testing.T) {
	checkEveryEnding(t, func() core.Middleware { return Retry(3, minutes) })
}
