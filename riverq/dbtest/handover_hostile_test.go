package dbtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// A task that returns the error of another one, which was handed over, is handed over itself.
func TestHandoverOfASubtaskIsNotTheParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		inserts := inserterFunc(func(_ context.Context, jobs []river.InsertManyParams) error {
			for _, j := range jobs {
				got = append(got, j.Args.(mailArgs).Order)
			}
			return nil
		})
		m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(inserts)))
		riverq.Go(t.Context(), m, mailArgs{"parent"}, func(ctx context.Context, _ mailArgs) error {
			sub := riverq.Go(ctx, m, mailArgs{"sub"}, sleepy)
			<-sub.Done()
			return sub.Err()
		})
		synctest.Wait()
		_, _ = shutdownNow(m)
		assert.ElementsMatch(t, []string{"parent", "sub"}, got)
	})
}

// tenantArgs is a job of which one for each queue is enough.
type tenantArgs struct {
	Tenant string `json:"tenant"`
}

func (tenantArgs) Kind() string { return "tenant_sync" }
func (a tenantArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: "q_" + a.Tenant, UniqueOpts: river.UniqueOpts{ByQueue: true}}
}

// Jobs share an insert only if they are the same for River.
func TestHandoverOfUniqueJobsInQueues(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		m := newTasks(t, core.WithMiddleware(riverq.Handover(insertOnly(t, db))), core.WithLimit(1, -1))
		for i := range 10 {
			riverq.Go(t.Context(), m, tenantArgs{fmt.Sprint("t", i)}, obeys[tenantArgs])
		}
		stats, err := shutdownNow(m)
		require.NoError(t, err)
		assert.Equal(t, 10, stats.HandedOver)
		assert.Equal(t, 10, countJobs(t, db))
	})
}

// dailyArgs is a job of which one for each day is enough.
type dailyArgs struct {
	Days int `json:"days"` // from now
}

func (dailyArgs) Kind() string { return "daily" }

func (a dailyArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		ScheduledAt: time.Now().AddDate(0, 0, a.Days), UniqueOpts: river.UniqueOpts{ByPeriod: 24 * time.Hour},
	}
}

func TestHandoverOfUniqueJobsOnDays(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		m := newTasks(t, core.WithMiddleware(riverq.Handover(insertOnly(t, db))), core.WithLimit(1, -1))
		for days := range 10 {
			riverq.Go(t.Context(), m, dailyArgs{days}, obeys[dailyArgs])
		}
		_, err := shutdownNow(m)
		require.NoError(t, err)
		assert.Equal(t, 10, countJobs(t, db))
	})
}

// maybeBad is a unique job. Number 0 cannot be inserted.
type maybeBad struct {
	N int `json:"n"`
}

func (maybeBad) Kind() string { return "maybe" }
func (maybeBad) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

// Equal jobs behind one that cannot be inserted still share one insert.
func TestHandoverOfUniqueJobsBesideABadOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inserted := map[int]int{}
		inserts := inserterFunc(func(_ context.Context, jobs []river.InsertManyParams) error {
			time.Sleep(time.Millisecond)
			for _, j := range jobs {
				if j.Args.(maybeBad).N == 0 {
					return errMail
				}
			}
			for _, j := range jobs {
				inserted[j.Args.(maybeBad).N]++
			}
			return nil
		})
		m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(inserts)), core.WithLimit(0, 0))
		tasks := map[*core.Task]int{}
		for range 5 {
			for i := range 8 {
				tasks[riverq.Go(t.Context(), m, maybeBad{i}, obeys[maybeBad])] = i
			}
		}
		synctest.Wait()
		stats, _ := shutdownNow(m)
		assert.Equal(t, 35, stats.HandedOver)
		for task, i := range tasks {
			assert.Equal(t, i != 0, errors.Is(task.Err(), core.ErrHandedOver), i)
		}
		assert.Len(t, inserted, 7)
	})
}

// The timeout is that of each task, whatever others wait for.
func TestHandoverTimeoutOfEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &pgconn.PgError{Code: "53300"}
		inserts := inserterFunc(func(context.Context, []river.InsertManyParams) error { return full })
		m := core.New(core.WithLogger(quiet), core.WithLimit(0, 0), core.WithMiddleware(riverq.Handover(inserts, riverq.WithInsertTimeout(2*time.Second))))
		took := make([]time.Duration, 20)
		var tasks []*core.Task
		for range 20 {
			tasks = append(tasks, riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy))
		}
		riverq.Go(t.Context(), m, mailArgs{"slow"}, func(ctx context.Context, _ mailArgs) error {
			<-ctx.Done()
			time.Sleep(1900 * time.Millisecond)
			return ctx.Err()
		})
		synctest.Wait()
		began := time.Now()
		for i, task := range tasks {
			go func() { <-task.Done(); took[i] = time.Since(began) }()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		go m.Close()
		_, err := m.Shutdown(ctx)
		require.Error(t, err)
		synctest.Wait()
		for _, d := range took {
			assert.LessOrEqual(t, d, 2*time.Second)
		}
	})
}

// fakeClient is a client that can also be asked, and whose database behaves as the test wants.
type fakeClient struct {
	insert func(ctx context.Context, jobs []river.InsertManyParams) error
	list   func(ctx context.Context) (*river.JobListResult, error)
}

func (f fakeClient) InsertMany(ctx context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error) {
	return nil, f.insert(ctx, jobs)
}

func (f fakeClient) JobList(ctx context.Context, _ *river.JobListParams) (*river.JobListResult, error) {
	return f.list(ctx)
}

// A client that panics when it is asked loses no more than the batch.
func TestHandoverWithAListThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakeClient{
			func(context.Context, []river.InsertManyParams) error { time.Sleep(time.Millisecond); return io.EOF },
			func(context.Context) (*river.JobListResult, error) { panic("list") },
		}
		m := core.New(core.WithLogger(quiet), core.WithLimit(0, 0), core.WithMiddleware(riverq.Handover(c)))
		var tasks []*core.Task
		for range 5 {
			tasks = append(tasks, riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy))
		}
		synctest.Wait()
		_, err := shutdownNow(m)
		require.Error(t, err)
		for _, task := range tasks {
			assert.Equal(t, core.Cancelled, task.Outcome())
		}
	})
}

// panicsIs is an error whose methods panic.
type panicsIs struct{ error }

func (panicsIs) Is(error) bool { panic("Is") }

// An error whose methods panic leaves no task waiting for ever.
func TestHandoverWithAnErrorThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inserts := inserterFunc(func(context.Context, []river.InsertManyParams) error {
			time.Sleep(time.Millisecond) // the others come meanwhile
			return panicsIs{errMail}
		})
		m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(inserts)))
		for range 10 {
			riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		}
		stats, err := shutdownNow(m)
		require.Error(t, err)
		assert.Zero(t, stats.HandedOver)
		assert.Zero(t, stats.RemainingTasks)
	})
}

// cannotSay is a client whose first insert has an answer that tells nothing. Being SQLite's, it
// cannot be asked.
type cannotSay struct {
	client
	said bool
}

func (c *cannotSay) InsertMany(ctx context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error) {
	if !c.said {
		c.said = true
		return nil, io.ErrUnexpectedEOF
	}
	return c.client.InsertMany(ctx, jobs)
}

func (c *cannotSay) JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error) {
	return c.client.(interface {
		JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	}).JobList(ctx, params)
}

// A database that cannot be asked loses one batch, and not the time of all others.
func TestHandoverToADatabaseThatCannotBeAsked(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		m := newTasks(t, core.WithMiddleware(riverq.Handover(&cannotSay{client: insertOnly(t, db)})))
		for range 300 {
			riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		}
		stats, err := shutdownNow(m)
		if _, ok := db.(*postgresDatabase); ok {
			require.NoError(t, err)
			assert.Equal(t, 300, stats.HandedOver)
			return
		}
		require.Error(t, err)
		assert.GreaterOrEqual(t, stats.HandedOver, 300-200, "all but the first batch")
	})
}

// Some answers leave open whether the commit went through: those of a pooler, for example.
func TestHandoverAfterAnAnswerThatTellsNothing(t *testing.T) {
	for _, code := range []string{"08P01", "08006", "08007", "40003"} {
		synctest.Test(t, func(t *testing.T) {
			inserted := 0
			c := fakeClient{
				func(_ context.Context, jobs []river.InsertManyParams) error {
					if inserted += len(jobs); inserted == 1 {
						return fmt.Errorf("error committing transaction: %w", &pgconn.PgError{Severity: "FATAL", Code: code, Message: "server conn crashed?"})
					}
					return nil
				},
				func(context.Context) (*river.JobListResult, error) {
					return &river.JobListResult{Jobs: make([]*rivertype.JobRow, inserted)}, nil
				},
			}
			m := core.New(core.WithLogger(quiet), core.WithLimit(0, 0), core.WithMiddleware(riverq.Handover(c)))
			riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
			synctest.Wait()
			_, err := shutdownNow(m)
			require.NoError(t, err)
			assert.Equal(t, 1, inserted, code)
		})
	}
}

// A job that is locked does not take the others with it.
func TestHandoverBesideALockedJob(t *testing.T) {
	pg := migratedPostgres(t)
	other := insertOnly(t, pg)
	tx, err := pg.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = other.(*river.Client[pgx.Tx]).InsertTx(t.Context(), tx, warmArgs{"o-1"}, nil)
	require.NoError(t, err)
	config, err := pgxpool.ParseConfig(pg.address)
	require.NoError(t, err)
	config.ConnConfig.RuntimeParams["lock_timeout"] = "100ms"
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	c, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: quiet, Schema: pg.schema})
	require.NoError(t, err)
	m := newTasks(t, core.WithMiddleware(riverq.Handover(c)), core.WithLimit(1, -1))
	for range 100 {
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
	}
	riverq.Go(t.Context(), m, warmArgs{"o-1"}, obeys[warmArgs])
	stats, err := shutdownNow(m)
	require.Error(t, err, "the locked one")
	assert.Equal(t, 100, stats.HandedOver)
}

// A job that fails as if the database were not there does not take the others with it.
func TestHandoverOfABadOneThatLooksLikeAFault(t *testing.T) {
	for name, fault := range map[string]error{"EOF": io.ErrUnexpectedEOF, "deadline": context.DeadlineExceeded, "passing": &pgconn.PgError{Code: "55P03"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inserted := 0
				c := fakeClient{
					func(_ context.Context, jobs []river.InsertManyParams) error {
						for _, j := range jobs {
							if j.Args.(mailArgs).Order == "bad" {
								return fmt.Errorf("error marshaling args to JSON: %w", fault)
							}
						}
						inserted += len(jobs)
						return nil
					},
					func(context.Context) (*river.JobListResult, error) { return &river.JobListResult{}, nil },
				}
				m := core.New(core.WithLogger(quiet), core.WithLimit(1, -1), core.WithMiddleware(riverq.Handover(c)))
				riverq.Go(t.Context(), m, mailArgs{"bad"}, sleepy)
				for range 100 {
					riverq.Go(t.Context(), m, mailArgs{"good"}, sleepy)
				}
				synctest.Wait()
				stats, _ := shutdownNow(m)
				assert.Equal(t, 100, stats.HandedOver)
			})
		})
	}
}

// Whoever inserts for others leaves none of them behind, however long a call takes.
func TestHandoverLeavesNobodyBehind(t *testing.T) {
	for call := 50 * time.Millisecond; call < 3*time.Second; call += 50 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			slow := inserterFunc(func(context.Context, []river.InsertManyParams) error {
				time.Sleep(call)
				return &pgconn.PgError{Code: "53300"}
			})
			m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(slow, riverq.WithInsertTimeout(2*time.Second))))
			for i := range 10 {
				riverq.Go(t.Context(), m, mailArgs{"o-1"}, func(ctx context.Context, _ mailArgs) error {
					<-ctx.Done()
					time.Sleep(time.Duration(i) * 170 * time.Millisecond)
					return ctx.Err()
				})
			}
			synctest.Wait()
			_, err := shutdownNow(m)
			var lost *core.ShutdownError
			require.ErrorAs(t, err, &lost)
			assert.Len(t, lost.Cancelled, 10)
			assert.Empty(t, lost.Remaining)
		})
	}
}
