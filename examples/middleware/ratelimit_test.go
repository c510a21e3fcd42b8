package middleware

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/time/rate"

	"github.com/afterspan/afterspan/core"
)

// Two tasks an hour. The third could not begin before its timeout, so it is refused.
func ExampleRateLimit() {
	tel := newTelemetry()
	tasks := newManager(tel.middleware(), RateLimit(rate.NewLimiter(rate.Every(time.Hour), 2)))
	for i := range 3 {
		err := tasks.Go(background, fmt.Sprint("task_", i), func(context.Context) error {
			fmt.Println("task", i, "runs")
			return nil
		}, core.WithTimeout(time.Minute)).Wait(background)
		fmt.Println("task", i, "refused:", errors.Is(err, core.ErrRejected))
	}
	tel.print()
	// Output:
	// task 0 runs
	// task 0 refused: false
	// task 1 runs
	// task 1 refused: false
	// task 2 refused: true
	// span task_0 afterspan.task.outcome=completed
	// span task_1 afterspan.task.outcome=completed
	// span task_2 afterspan.task.outcome=rejected
}

func oneAMinute() core.Middleware { return RateLimit(rate.NewLimiter(rate.Every(time.Minute), 1)) }

func TestRateLimitHoldsTasksUp(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		began := time.Now()
		at := make(chan time.Duration, 3)
		for range 3 {
			tasks.Go(background, "send_receipt", func(context.Context) error {
				at <- time.Since(began)
				return nil
			})
		}
		assert.Equal(t, []time.Duration{0, time.Minute, 2 * time.Minute}, []time.Duration{<-at, <-at, <-at})
	}, oneAMinute)
}

func TestRateLimitIsCancelledInItsWait(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		began := time.Now()
		assert.NoError(t, tasks.Go(background, "first", succeed).Wait(background))
		waits := tasks.Go(background, "waits", fail)
		synctest.Wait()
		waits.Cancel()
		assert.ErrorIs(t, waits.Wait(background), core.ErrCancelled)
		assert.Equal(t, core.Cancelled, waits.Outcome())
		assert.Zero(t, time.Since(began))
		assert.NoError(t, tasks.Go(background, "next", succeed).Wait(background))
		assert.Equal(t, time.Minute, time.Since(began), "the token of the cancelled one has gone back")
	}, oneAMinute)
}

// It does not wait for a turn that would come after the timeout.
func TestRateLimitAndATimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		began := time.Now()
		assert.NoError(t, tasks.Go(background, "first", succeed).Wait(background))
		late := tasks.Go(background, "late", succeed, core.WithTimeout(time.Second))
		assert.ErrorIs(t, late.Wait(background), core.ErrRejected)
		assert.Zero(t, time.Since(began))
		assert.Equal(t, core.Rejected, late.Outcome(), "its timeout has not passed yet")
		inTime := tasks.Go(background, "in_time", succeed, core.WithTimeout(time.Hour))
		assert.NoError(t, inTime.Wait(background))
	}, oneAMinute)
}

func TestRateLimitCountsEachAttempt(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		began := time.Now()
		assert.NoError(t, tasks.Go(background, "send_receipt", failsTwice()).Wait(background))
		assert.Equal(t, 2*time.Minute, time.Since(began))
	}, func() core.Middleware { return Retry(3, noPauses) }, oneAMinute)
}

func TestRateLimitChangesNoEnding(t *testing.T) { checkEveryEnding(t, oneAMinute) }
