package middleware

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/time/rate"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
)

// chain returns a manager with all of them, in the order that the README gives.
func chain(t *testing.T, tel telemetry, opts ...core.Option) *core.Manager {
	opts = append(opts, coretest.AllowFailures(), core.WithMiddleware(
		tel.middleware(),
		PprofLabels("tenant"),
		TraceRegion(),
		SlogAttrs(),
		StoreCancelled(func(context.Context, *core.Task) error { return nil }),
		Retry(3, minutes),
		Limit("tenant", 1),
		RateLimit(rate.NewLimiter(rate.Every(time.Second), 1)),
		Breaker(settings()),
	))
	return coretest.New(t, opts...)
}

// Two failures open the circuit, and the third attempt is refused. All of that is one span. The task
// has failed: it was tried.
func TestChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry()
		tasks := chain(t, tel)
		began := time.Now()
		assert.ErrorAs(t, tasks.Go(background, "send_receipt", fail, tenant("ada")).Wait(background), new(*CircuitOpenError))
		assert.Equal(t, 2*time.Minute, time.Since(began))
		assert.NoError(t, tasks.Go(background, "export", failsTwice(), tenant("ada")).Err())
		assert.NoError(t, tasks.Close())
		assert.Equal(t, []string{
			"span send_receipt afterspan.task.outcome=failed error.type=circuit_open",
			"span export afterspan.task.outcome=cancelled",
		}, tel.lines())
	})
}

// While a tenant's task pauses between two attempts, another of its tasks may run.
func TestChainHoldsNoTenantSlotInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tasks := chain(t, newTelemetry())
		pauses := tasks.Go(background, "send_receipt", failsTwice(), tenant("ada"))
		synctest.Wait()
		assert.NoError(t, tasks.Go(background, "export", succeed, tenant("ada")).Wait(background))
		assert.Equal(t, core.Pending, pauses.Outcome())
	})
}

// A task that is cancelled in the queue passes the chain without its Func, and leaves nothing there.
func TestChainOfATaskThatIsCancelledInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tasks := chain(t, newTelemetry(), core.WithLimit(1, -1))
		holds := tasks.Go(background, "export", untilDone, tenant("bob"))
		for range 3 {
			waits := tasks.Go(background, "send_receipt", fail, tenant("ada"))
			waits.Cancel()
			assert.ErrorIs(t, waits.Wait(background), core.ErrCancelled)
			assert.Equal(t, core.Cancelled, waits.Outcome())
		}
		holds.Cancel()
		assert.NoError(t, tasks.Go(background, "send_receipt", succeed, tenant("ada")).Wait(background))
	})
}
