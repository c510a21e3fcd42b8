package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
)

// The shutdown cancels a receipt that is being sent, and two that wait in the queue.
func ExampleStoreCancelled() {
	store := func(_ context.Context, t *core.Task) error {
		order, _ := attr(t, "order")
		fmt.Println("stored:", t.Name(), "of order", order)
		return nil
	}
	tasks := core.New(core.WithLimit(1, -1),
		core.WithMiddleware(StoreCancelled(store)), core.WithLogger(slog.New(slog.DiscardHandler)))
	for order := range 3 {
		tasks.Go(background, "send_receipt", untilDone, core.WithAttrs(slog.Int("order", order)))
	}
	_ = tasks.Close()
	// Unordered output:
	// stored: send_receipt of order 0
	// stored: send_receipt of order 1
	// stored: send_receipt of order 2
}

// notebook is a store that keeps names.
type notebook struct {
	mu    sync.Mutex
	names []string
}

func (n *notebook) store(ctx context.Context, t *core.Task) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names = append(n.names, t.Name())
	return ctx.Err()
}

func TestStoreCancelledByAShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stored notebook
		tasks := coretest.New(t, coretest.AllowFailures(), core.WithLimit(6, -1),
			core.WithMiddleware(StoreCancelled(stored.store)))
		for name, fn := range map[string]core.Func{
			"runs": untilDone, "fails": fail, "crashes": crash, "succeeds": succeed,
			"completes": func(ctx context.Context) error { <-ctx.Done(); return nil },
			"own_error": func(ctx context.Context) error { <-ctx.Done(); return errMail },
		} {
			tasks.Go(background, name, fn)
		}
		tasks.Go(background, "times_out", untilDone, core.WithTimeout(time.Second))
		synctest.Wait()
		for _, name := range []string{"holds", "holds", "holds"} {
			tasks.Go(background, name, untilDone)
		}
		tasks.Go(background, "waits", succeed)
		tasks.Go(background, "cancelled", untilDone).Cancel()

		ctx, cancel := context.WithTimeout(background, 10*time.Second)
		defer cancel()
		stats, err := tasks.Shutdown(ctx)
		assert.Equal(t, "cancelled", stats.Status)
		lost := new(core.ShutdownError)
		require.ErrorAs(t, err, &lost)
		var names []string
		for _, task := range lost.Cancelled {
			names = append(names, task.Name)
		}
		assert.ElementsMatch(t, names, stored.names)
		assert.ElementsMatch(t, []string{"runs", "own_error", "holds", "holds", "holds", "waits"}, stored.names)
	})
}

func TestStoreCancelledThatCannotStore(t *testing.T) {
	errDisk := errors.New("the disk is full")
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		task := tasks.Go(background, "send_receipt", untilDone)
		synctest.Wait()
		require.NoError(t, tasks.Close())
		assert.ErrorIs(t, task.Err(), errDisk)
		assert.ErrorIs(t, task.Err(), context.Canceled)
		assert.Equal(t, core.Cancelled, task.Outcome())
	}, func() core.Middleware {
		return StoreCancelled(func(context.Context, *core.Task) error { return errDisk })
	})
}

func TestStoreCancelledChangesNoEnding(t *testing.T) {
	checkEveryEnding(t, func() core.Middleware { return StoreCancelled(new(notebook).store) })
}
