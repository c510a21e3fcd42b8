package dbtest

import (
	"context"
	"testing"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// A task has the context of the task that started it, but not its arguments.
func TestSubtaskIsNotTheTask(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		inserts := &counter{Inserter: insertOnly(t, db)}
		m := newTasks(t, core.WithMiddleware(riverq.Handover(inserts, riverq.WithRefused())))
		started := make(chan struct{})
		riverq.Go(t.Context(), m, mailArgs{"outer"}, func(ctx context.Context, args mailArgs) error {
			m.Go(ctx, "inner", func(ctx context.Context) error { return sleepy(ctx, args) })
			riverq.Go(ctx, m, mailArgs{"inner, too"}, sleepy)
			close(started)
			<-ctx.Done()
			m.Go(ctx, "inner, refused", func(context.Context) error { return nil })
			return ctx.Err()
		})
		<-started
		stats, err := shutdownNow(m)
		require.Error(t, err)
		assert.Equal(t, 2, stats.HandedOver)
		assert.EqualValues(t, 2, inserts.jobs.Load())
	})
}

// A task does not have the arguments of the task that started it in another manager, even if that one has no
// Handover that could claim them.
func TestSubtaskInAnotherManager(t *testing.T) {
	for name, limit := range map[string]core.Option{"cancelled": core.WithLimit(1, 9), "refused": core.WithLimit(1, 0)} {
		t.Run(name, func(t *testing.T) {
			inserts := &counter{Inserter: inserterFunc(func(context.Context, []river.InsertManyParams) error { return nil })}
			handover := riverq.Handover(inserts, riverq.WithRefused(), riverq.WithLogger(quiet))
			outer, inner := newTasks(t), newTasks(t, limit, core.WithMiddleware(handover))
			parent := riverq.Go(t.Context(), outer, mailArgs{"parent"}, func(ctx context.Context, args mailArgs) error {
				for range 3 {
					inner.Go(ctx, "write_audit_log", func(ctx context.Context) error { return sleepy(ctx, args) })
				}
				return nil
			})
			require.NoError(t, parent.Wait(t.Context()))
			stats, err := shutdownNow(inner)
			require.Error(t, err, "the tasks are lost")
			assert.Zero(t, stats.HandedOver)
			assert.Zero(t, inserts.calls.Load())
		})
	}
}
