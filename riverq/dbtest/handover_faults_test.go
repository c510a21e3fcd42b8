package dbtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// Nothing says that a refused task could not be inserted, but the log.
func TestHandoverOfRefusedFails(t *testing.T) {
	var log bytes.Buffer
	inserts := inserterFunc(func(context.Context, []river.InsertManyParams) error { return errMail })
	m := newTasks(t, core.WithMiddleware(riverq.Handover(inserts, riverq.WithRefused(),
		riverq.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))))
	require.NoError(t, m.Close())
	task := riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy, core.WithAttrs(slog.String("order_id", "o-1")))
	require.ErrorIs(t, task.Err(), core.ErrClosed)
	var line struct {
		Level, Error string
		Task         struct{ Name string }
		OrderID      string `json:"order_id"`
	}
	require.NoError(t, json.Unmarshal(log.Bytes(), &line), log.String())
	assert.Equal(t, "ERROR", line.Level)
	assert.Equal(t, "send_mail", line.Task.Name)
	assert.Equal(t, "o-1", line.OrderID, "which work was lost")
	assert.Equal(t, errMail.Error(), line.Error)
}

// badArgs cannot be encoded.
type badArgs struct{ mailArgs }

func (badArgs) MarshalJSON() ([]byte, error) { return nil, errMail }

// One that cannot be inserted does not take the others with it, and is named as lost.
func TestHandoverOfABadOne(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		inserts := &counter{Inserter: insertOnly(t, db)}
		m := newTasks(t, core.WithMiddleware(riverq.Handover(inserts)), core.WithLimit(1, 20))
		bad := riverq.Go(t.Context(), m, badArgs{}, func(ctx context.Context, _ badArgs) error { return sleepy(ctx, mailArgs{}) })
		for range 10 {
			riverq.Go(t.Context(), m, mailArgs{"good"}, sleepy)
		}
		stats, err := shutdownNow(m)
		var lost *core.ShutdownError
		require.ErrorAs(t, err, &lost)
		require.Len(t, lost.Cancelled, 1)
		assert.Equal(t, bad.ID(), lost.Cancelled[0].ID)
		require.ErrorIs(t, bad.Err(), errMail, "it says why")
		assert.Equal(t, core.Cancelled, bad.Outcome())
		assert.Equal(t, 10, stats.HandedOver)
		assert.EqualValues(t, 10, inserts.jobs.Load())
	})
}

// Without the database the tasks are lost, and the shutdown says so.
func TestHandoverWithoutDatabase(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		m := newTasks(t, core.WithMiddleware(riverq.Handover(insertOnly(t, db))))
		db.close()
		for range 3 {
			riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		}
		stats, err := shutdownNow(m)
		var lost *core.ShutdownError
		require.ErrorAs(t, err, &lost)
		assert.Len(t, lost.Cancelled, 3)
		assert.Zero(t, stats.HandedOver)
	})
}

// inserterFunc is a client whose database behaves as the test wants.
type inserterFunc func(ctx context.Context, jobs []river.InsertManyParams) error

func (f inserterFunc) InsertMany(ctx context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error) {
	return nil, f(ctx, jobs)
}

// A database that does not answer holds nobody up for longer than the timeout.
func TestHandoverTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := inserterFunc(func(ctx context.Context, _ []river.InsertManyParams) error { <-ctx.Done(); return ctx.Err() })
		m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(hangs, riverq.WithInsertTimeout(2*time.Second))))
		for range 100 {
			riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		stats, err := m.Shutdown(ctx)
		var lost *core.ShutdownError
		require.ErrorAs(t, err, &lost)
		assert.Len(t, lost.Cancelled, 100)
		assert.Empty(t, lost.Remaining)
		assert.Zero(t, stats.HandedOver)
		assert.Equal(t, 7*time.Second, time.Since(began), "five seconds to drain, and two for all inserts")
	})
}

// A client that panics, or ends its goroutine, for one of the jobs loses that task alone, and the error of that
// task says so.
func TestHandoverOfOneThatPanics(t *testing.T) {
	for name, fault := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := inserterFunc(func(_ context.Context, jobs []river.InsertManyParams) error {
					time.Sleep(time.Millisecond) // others come meanwhile
					for _, job := range jobs {
						if job.Args.(mailArgs).Order == "o-50" {
							fault()
						}
					}
					return nil
				})
				m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(client)))
				tasks := make([]*core.Task, 100)
				for i := range tasks {
					tasks[i] = riverq.Go(t.Context(), m, mailArgs{fmt.Sprint("o-", i)}, sleepy)
				}
				stats, err := shutdownNow(m)
				assert.Equal(t, 99, stats.HandedOver)
				var lost *core.ShutdownError
				require.ErrorAs(t, err, &lost)
				require.Len(t, lost.Cancelled, 1)
				assert.Equal(t, tasks[50].ID(), lost.Cancelled[0].ID)
				assert.Equal(t, core.Cancelled, tasks[50].Outcome())
				assert.ErrorContains(t, tasks[50].Err(), map[string]string{"panic": "boom", "Goexit": "did not return"}[name])
			})
		})
	}
}

// A retry outside may call again, after the task was handed over. The job runs it, so the task does not.
func TestHandoverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inserts := 0
		client := inserterFunc(func(context.Context, []river.InsertManyParams) error { inserts++; return nil })
		stubborn := core.MiddlewareFunc(func(next core.Handler) core.Handler {
			return func(ctx context.Context, task *core.Task) error {
				_ = next(ctx, task)
				return next(ctx, task)
			}
		})
		m := core.New(core.WithLogger(quiet), core.WithMiddleware(stubborn, riverq.Handover(client)))
		runs := 0
		task := riverq.Go(t.Context(), m, mailArgs{"o-1"}, func(ctx context.Context, args mailArgs) error {
			if runs++; runs > 1 {
				return nil
			}
			return sleepy(ctx, args)
		})
		synctest.Wait()
		require.NoError(t, m.Close())
		require.ErrorIs(t, task.Err(), core.ErrHandedOver)
		assert.Equal(t, core.Cancelled, task.Outcome())
		assert.Equal(t, 1, inserts)
		assert.Equal(t, 1, runs)
	})
}

// Two Handovers in a chain insert a task once.
func TestHandoverTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inserted := 0
		client := inserterFunc(func(_ context.Context, jobs []river.InsertManyParams) error { inserted += len(jobs); return nil })
		m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(client), riverq.Handover(client)))
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		stats, err := shutdownNow(m)
		require.NoError(t, err)
		assert.Equal(t, 1, stats.HandedOver)
		assert.Equal(t, 1, inserted)
	})
}

// As with core.Manager.Go, a mistake of the caller's shows in the caller.
func TestMisusePanicsInTheCaller(t *testing.T) {
	m := newTasks(t)
	var none context.Context
	for name, misuse := range map[string]func(){
		"Go without a context":   func() { riverq.Go(none, m, mailArgs{}, sleepy) },
		"Go without a Manager":   func() { riverq.Go(t.Context(), nil, mailArgs{}, sleepy) },
		"Go without a function":  func() { riverq.Go[mailArgs](t.Context(), m, mailArgs{}, nil) },
		"a worker without one":   func() { riverq.WorkFunc[mailArgs](nil) },
		"Handover of no client":  func() { riverq.Handover(nil) },
		"an option of New's own": func() { riverq.Handover(&counter{}, riverq.WithBatchSpawns(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() { assert.Regexp(t, "^afterspan: riverq", recover()) }()
			misuse()
		})
	}
}

// A Func that ignores its context is named, and not handed over.
func TestHandoverOfADeafOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inserts := inserterFunc(func(context.Context, []river.InsertManyParams) error { return errors.New("not expected") })
		m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(inserts)))
		release := make(chan struct{})
		task := riverq.Go(t.Context(), m, mailArgs{"o-1"}, func(context.Context, mailArgs) error { <-release; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := m.Shutdown(ctx)
		var lost *core.ShutdownError
		require.ErrorAs(t, err, &lost)
		assert.Len(t, lost.Remaining, 1)
		close(release)
		require.NoError(t, task.Wait(t.Context()))
	})
}
