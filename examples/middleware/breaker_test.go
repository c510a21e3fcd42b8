package middleware

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
)

// settings opens a circuit after two failures in a row, for a minute.
func settings() gobreaker.Settings {
	return gobreaker.Settings{
		Timeout:     time.Minute,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 2 },
	}
}

func breaker() core.Middleware { return Breaker(settings()) }

// otelmw is outside, so the refused task has a span, too.
func ExampleBreaker() {
	tel := newTelemetry()
	settings := settings()
	settings.OnStateChange = func(name string, _, to gobreaker.State) { fmt.Println(name, "is open:", to == gobreaker.StateOpen) }
	tasks := newManager(tel.middleware(), Breaker(settings))
	for range 3 {
		err := tasks.Go(background, "send_receipt", func(context.Context) error {
			fmt.Println("calls the mail server")
			return errMail
		}).Wait(background)
		fmt.Println("turned away:", errors.As(err, new(*CircuitOpenError)))
	}
	fmt.Println("error:", tasks.Go(background, "reindex", succeed).Wait(background))
	tel.print()
	// Output:
	// calls the mail server
	// turned away: false
	// calls the mail server
	// send_receipt is open: true
	// turned away: false
	// turned away: true
	// error: <nil>
	// span send_receipt afterspan.task.outcome=failed error.type=*middleware.mailError
	// span send_receipt afterspan.task.outcome=failed error.type=*middleware.mailError
	// span send_receipt afterspan.task.outcome=rejected
	// span reindex afterspan.task.outcome=completed
}

func TestBreakerClosesAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		open(t, tasks, fail)
		time.Sleep(time.Minute + 1)
		assert.NoError(t, tasks.Go(background, "send_receipt", succeed).Wait(background), "half open, one may try")
		assert.NoError(t, tasks.Go(background, "send_receipt", succeed).Wait(background))
	}, breaker)
}

// A task that tries while it is half open, and does not return normally, must not keep it half open
// forever.
func TestBreakerThatIsHalfOpen(t *testing.T) {
	for name, fn := range map[string]core.Func{"panic": crash, "goexit": quit, "error": fail} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, tasks *core.Manager) {
				open(t, tasks, fn)
				time.Sleep(time.Minute + 1)
				assert.NotErrorIs(t, tasks.Go(background, "send_receipt", fn).Wait(background), gobreaker.ErrOpenState)
				assert.ErrorIs(t, tasks.Go(background, "send_receipt", succeed).Wait(background), gobreaker.ErrOpenState)
				time.Sleep(time.Minute + 1)
				assert.NoError(t, tasks.Go(background, "send_receipt", succeed).Wait(background))
			}, breaker)
		})
	}
}

// open fails tasks until one is refused.
func open(t *testing.T, tasks *core.Manager, fn core.Func) {
	t.Helper()
	for range 2 {
		assert.NotErrorIs(t, tasks.Go(background, "send_receipt", fn).Wait(background), gobreaker.ErrOpenState)
	}
	away := tasks.Go(background, "send_receipt", succeed)
	assert.ErrorIs(t, away.Wait(background), gobreaker.ErrOpenState)
	assert.ErrorIs(t, away.Err(), core.ErrRejected)
	assert.Equal(t, core.Rejected, away.Outcome())
}

func TestBreakerCountsTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		for range 2 {
			task := tasks.Go(background, "send_receipt", untilDone, core.WithTimeout(time.Second))
			assert.ErrorIs(t, task.Wait(background), context.DeadlineExceeded)
		}
		assert.ErrorIs(t, tasks.Go(background, "send_receipt", succeed).Wait(background), gobreaker.ErrOpenState)
	}, breaker)
}

func TestBreakerDoesNotCountCancels(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		for range 5 {
			task := tasks.Go(background, "send_receipt", untilDone)
			synctest.Wait()
			task.Cancel()
			assert.ErrorIs(t, task.Wait(background), context.Canceled)
		}
		assert.NoError(t, tasks.Go(background, "send_receipt", succeed).Wait(background))
	}, breaker)
}

func TestBreakerAndItsSettings(t *testing.T) {
	settings := settings()
	settings.IsExcluded = func(err error) bool { return errors.Is(err, errMail) }
	tasks := newTestManager(t, Breaker(settings))
	for range 5 {
		assert.ErrorIs(t, tasks.Go(background, "send_receipt", fail).Wait(background), errMail)
	}
	assert.NoError(t, tasks.Go(background, "send_receipt", succeed).Wait(background))
}

// A cancel while it is half open leaves room for the next to try.
func TestBreakerThatIsHalfOpenAndACancel(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		open(t, tasks, fail)
		time.Sleep(time.Minute + 1)
		tries := tasks.Go(background, "send_receipt", untilDone)
		synctest.Wait()
		assert.ErrorIs(t, tasks.Go(background, "send_receipt", succeed).Wait(background), gobreaker.ErrTooManyRequests)
		tries.Cancel()
		assert.ErrorIs(t, tries.Wait(background), context.Canceled)
		assert.NoError(t, tasks.Go(background, "send_receipt", succeed).Wait(background))
	}, breaker)
}

func TestBreakerChangesNoEnding(t *testing.T) {
	checkEveryEnding(t, func() core.Middleware { return Breaker(gobreaker.Settings{}) })
}
