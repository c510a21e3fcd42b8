package dbtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// warmArgs is a job of which one for each order is enough.
type warmArgs struct {
	Order string `json:"order"`
}

func (warmArgs) Kind() string { return "warm_cache" }

func (warmArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// laterArgs is like warmArgs, but for a moment later, as a debounced job is.
type laterArgs struct{ warmArgs }

func (laterArgs) Kind() string { return "warm_later" }

func (a laterArgs) InsertOpts() river.InsertOpts {
	opts := a.warmArgs.InsertOpts()
	opts.ScheduledAt = time.Now().Add(time.Minute)
	return opts
}

// sweepArgs is a job of which one is enough.
type sweepArgs struct{ warmArgs }

func (sweepArgs) Kind() string { return "sweep" }

func (sweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: 24 * time.Hour}}
}

func obeys[T river.JobArgs](ctx context.Context, _ T) error { <-ctx.Done(); return ctx.Err() }

// River refuses a batch with two jobs of one unique key. So tasks with equal jobs share one.
func TestHandoverOfUniqueJobs(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		const orders, tasksOfEach = 10, 200
		inserts := &counter{Inserter: insertOnly(t, db)}
		m := newTasks(t, core.WithMiddleware(riverq.Handover(inserts)), core.WithLimit(1, -1))
		for i := range orders * tasksOfEach {
			order := warmArgs{fmt.Sprint("o-", i%orders)}
			riverq.Go(t.Context(), m, order, obeys[warmArgs])
			riverq.Go(t.Context(), m, sweepArgs{order}, obeys[sweepArgs])
			riverq.Go(t.Context(), m, laterArgs{order}, obeys[laterArgs])
		}
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		stats, err := shutdownNow(m)
		require.NoError(t, err)
		assert.Equal(t, 3*orders*tasksOfEach+2, stats.HandedOver)
		for kind, want := range map[string]int{"warm_cache": orders, "warm_later": orders, "sweep": 1, "send_mail": 2} {
			n, err := db.queryInt(t.Context(), "SELECT count(*) FROM "+db.table("river_job")+" WHERE kind = '"+kind+"'")
			require.NoError(t, err)
			assert.Equal(t, want, n, kind)
		}
		assert.Less(t, inserts.jobs.Load(), int64(orders*tasksOfEach/2), "they are not inserted one by one")
	})
}
