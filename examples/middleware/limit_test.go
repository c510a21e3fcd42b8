package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
)

func tenant(id string) core.TaskOption { return core.WithAttrs(slog.String("tenant", id)) }

func onePerTenant() core.Middleware { return Limit("tenant", 1) }

// One task of a tenant waits for the other. The tasks of other tenants do not.
func ExampleLimit() {
	tasks := newManager(Limit("tenant", 1))
	began, release := make(chan struct{}), make(chan struct{})
	tasks.Go(background, "export", func(context.Context) error {
		fmt.Println("ada's first begins")
		close(began)
		<-release
		fmt.Println("ada's first ends")
		return nil
	}, tenant("ada"))
	<-began
	tasks.Go(background, "export", func(context.Context) error {
		fmt.Println("ada's second runs")
		return nil
	}, tenant("ada"))
	_ = tasks.Go(background, "export", func(context.Context) error {
		fmt.Println("bob's runs")
		return nil
	}, tenant("bob")).Wait(background)
	close(release)
	_ = tasks.Wait(background)
	// Output:
	// ada's first begins
	// bob's runs
	// ada's first ends
	// ada's second runs
}

func TestLimitAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		began := time.Now()
		var running, most atomic.Int32
		for range 6 {
			tasks.Go(background, "export", func(context.Context) error {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Minute)
				running.Add(-1)
				return nil
			}, tenant("ada"))
		}
		assert.NoError(t, tasks.Wait(background))
		assert.Equal(t, int32(2), most.Load())
		assert.Equal(t, 3*time.Minute, time.Since(began))
	}, func() core.Middleware { return Limit("tenant", 2) })
}

func TestLimitLeavesTheOthersAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		holds := tasks.Go(background, "export", untilDone, tenant("ada"))
		synctest.Wait()
		assert.NoError(t, tasks.Go(background, "export", succeed).Wait(background), "without a tenant")
		assert.NoError(t, tasks.Go(background, "export", succeed, tenant("bob")).Wait(background))
		holds.Cancel()
	}, onePerTenant)
}

func TestLimitEndsItsWait(t *testing.T) {
	for cause, end := range map[error]func(*core.Task){
		core.ErrCancelled: (*core.Task).Cancel,
		core.ErrTimeout:   func(*core.Task) { time.Sleep(time.Minute) },
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, tasks *core.Manager) {
				holds := tasks.Go(background, "export", untilDone, tenant("ada"))
				synctest.Wait()
				waits := tasks.Go(background, "export", fail, tenant("ada"), core.WithTimeout(time.Minute))
				synctest.Wait()
				end(waits)
				assert.ErrorIs(t, waits.Wait(background), cause)
				assert.NotEqual(t, core.Failed, waits.Outcome())
				holds.Cancel()
				assert.NoError(t, tasks.Go(background, "export", succeed, tenant("ada")).Wait(background))
			}, onePerTenant)
		})
	}
}

// What ends in a bad way gives its slot back: otherwise the next one would wait for ever.
func TestLimitGivesSlotsBack(t *testing.T) {
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		for _, fn := range []core.Func{crash, quit, fail, succeed} {
			_ = tasks.Go(background, "export", fn, tenant("ada")).Wait(background)
		}
		assert.Equal(t, uint64(1), tasks.Stats().Completed)
	}, onePerTenant)
}

func TestLimitForgetsValues(t *testing.T) {
	l := &limits{n: 1, byValue: make(map[string]limit)}
	first, second := l.count("ada", +1), l.count("ada", +1)
	assert.Equal(t, first, second)
	l.count("ada", -1)
	assert.Len(t, l.byValue, 1)
	l.count("ada", -1)
	assert.Empty(t, l.byValue)
}

// A task that waits here holds a slot of the manager. If the manager has a limit, one tenant holds up
// the others.
func TestLimitHoldsTheManagersSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tasks := coretest.New(t, core.WithMiddleware(onePerTenant()), core.WithLimit(2, -1))
		for range 2 {
			tasks.Go(background, "export", untilDone, tenant("ada"))
		}
		others := tasks.Go(background, "export", succeed, tenant("bob"))
		synctest.Wait()
		assert.Equal(t, core.Pending, others.Outcome())
	})
}

func TestLimitChangesNoEnding(t *testing.T) { checkEveryEnding(t, onePerTenant) }
