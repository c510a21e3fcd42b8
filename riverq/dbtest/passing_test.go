package dbtest

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// What a driver of SQLite says of a database that another process has locked.
type lockedError int

func (e lockedError) Error() string { return "database is locked" }
func (e lockedError) Code() int     { return int(e) }

// A database that is away for a moment is tried again: nothing has been inserted.
func TestHandoverToADatabaseThatComesBack(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, fault := range map[string]error{
		"nobody listens":       dial,
		"too many connections": &pgconn.PgError{Code: "53300"},
		"starting":             fmt.Errorf("error beginning transaction: %w", &pgconn.PgError{Code: "57P03"}),
		"stopping":             &pgconn.PgError{Code: "57P01"},
		"a standby":            &pgconn.PgError{Code: "25006"},
		"a deadlock":           &pgconn.PgError{Code: "40P01"},
		"SQLite is busy":       lockedError(5),
		"SQLite is locked":     lockedError(6 | 1<<8), // SQLITE_LOCKED_SHAREDCACHE
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, back := 0, time.Now().Add(2*time.Second)
				stats, times := handOverMany(t, 500, func(context.Context, []river.InsertManyParams) error {
					calls++
					if time.Now().Before(back) {
						return fault
					}
					return nil
				})
				assert.Equal(t, 500, stats.HandedOver)
				assert.Len(t, times, 500)
				assert.Less(t, calls, 60, "it is given time to come back")
			})
		})
	}
}

// If it does not come back in time, the tasks are lost, with the reason.
func TestHandoverToADatabaseThatStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := &pgconn.PgError{Code: "53300"}
		inserts := inserterFunc(func(context.Context, []river.InsertManyParams) error { return full })
		m := core.New(core.WithLogger(quiet), core.WithMiddleware(riverq.Handover(inserts, riverq.WithInsertTimeout(2*time.Second))))
		task := riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := m.Shutdown(ctx)
		require.Error(t, err)
		require.ErrorIs(t, task.Err(), full)
		assert.Equal(t, 7*time.Second, time.Since(began), "five seconds to drain, and two for the insert")
	})
}

// The same with the real PostgreSQL, to which no connection can be made at first.
func TestHandoverToAPostgreSQLThatComesBack(t *testing.T) {
	pg := migratedPostgres(t)
	const tasks = 300
	dials := new(atomic.Int32)
	m := newTasks(t, core.WithMiddleware(riverq.Handover(laterClient(t, pg, dials))), core.WithLimit(1, -1))
	for range tasks {
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
	}
	stats, err := shutdownNow(m)
	require.NoError(t, err)
	assert.Equal(t, tasks, stats.HandedOver)
	assert.Greater(t, dials.Load(), int32(5))
	assert.Equal(t, tasks, countJobs(t, pg))
}

// laterClient returns a client whose first five connections go to a port where nobody listens.
func laterClient(t *testing.T, pg *postgresDatabase, dials *atomic.Int32) client {
	t.Helper()
	return clientDialling(t, pg, func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) <= 5 {
			network, address = "tcp", "127.0.0.1:1"
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	})
}
