package dbtest

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// A lossyConn loses the answer to the next commit, once armed, and the connection with it.
type lossyConn struct {
	net.Conn
	armed *atomic.Bool
	lost  bool
}

func (c *lossyConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.lost = err == nil && bytes.Contains(b, []byte("commit")) && c.armed.CompareAndSwap(true, false)
	return n, err
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b) // the server has committed
	if c.lost {
		return 0, io.EOF
	}
	return n, err
}

// PostgreSQL has committed a batch, but the client does not learn of it. It asks, and no job is there twice.
func TestHandoverAsksAfterALostAnswer(t *testing.T) {
	pg := migratedPostgres(t)
	const tasks = 100
	armed := new(atomic.Bool)
	armed.Store(true)
	m := newTasks(t, core.WithMiddleware(riverq.Handover(lossyClient(t, pg, armed))), core.WithLimit(1, -1))
	for range tasks {
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
	}
	stats, err := shutdownNow(m)
	require.NoError(t, err)
	assert.False(t, armed.Load(), "an answer was lost")
	assert.Equal(t, tasks, stats.HandedOver)
	assert.Equal(t, tasks, countJobs(t, pg))
}

// A fragileConn breaks after so many writes.
type fragileConn struct {
	net.Conn
	writes int // left
	cuts   *atomic.Int32
}

func (c *fragileConn) Write(b []byte) (int, error) {
	if c.writes--; c.writes < 0 {
		c.cuts.Add(1)
		_ = c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

// Connections break again and again, whatever is under way: all jobs are there in the end, once.
func TestHandoverThroughBrokenConnections(t *testing.T) {
	pg := migratedPostgres(t)
	const tasks = 3000
	cuts, dials := new(atomic.Int32), new(atomic.Int32)
	fragile := clientThrough(t, pg, func(conn net.Conn) net.Conn {
		return &fragileConn{conn, int(dials.Add(1)), cuts}
	})
	m := newTasks(t, core.WithMiddleware(riverq.Handover(fragile)), core.WithLimit(1, -1))
	for range tasks {
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
	}
	stats, err := shutdownNow(m)
	require.NoError(t, err)
	assert.Equal(t, tasks, stats.HandedOver)
	assert.Greater(t, cuts.Load(), int32(5))
	assert.Equal(t, tasks, countJobs(t, pg))
}

// Of a client that cannot be asked, the tasks of the batch count as lost, and no job is there twice.
func TestHandoverWhoseCommitIsNotAnswered(t *testing.T) {
	pg := migratedPostgres(t)
	const tasks = 100
	armed := new(atomic.Bool)
	lossy, largest := lossyClient(t, pg, armed), 0
	inserts := inserterFunc(func(ctx context.Context, jobs []river.InsertManyParams) error {
		armed.Store(len(jobs) > 1 && largest <= 1) // the first batch of several jobs
		largest = max(largest, len(jobs))
		_, err := lossy.InsertMany(ctx, jobs)
		return err
	})
	m := newTasks(t, core.WithMiddleware(riverq.Handover(inserts)), core.WithLimit(1, -1))
	for range tasks {
		riverq.Go(t.Context(), m, mailArgs{"o-1"}, sleepy)
	}
	stats, err := shutdownNow(m)
	var lost *core.ShutdownError
	require.ErrorAs(t, err, &lost)
	assert.Less(t, stats.HandedOver, tasks-1, "those of the batch count as lost")
	assert.Equal(t, tasks, countJobs(t, pg))
}

// lossyClient returns a client whose connections are lossy.
func lossyClient(t *testing.T, pg *postgresDatabase, armed *atomic.Bool) client {
	t.Helper()
	return clientThrough(t, pg, func(conn net.Conn) net.Conn { return &lossyConn{Conn: conn, armed: armed} })
}

// clientThrough returns a client whose connections are what wrap makes of them.
func clientThrough(t *testing.T, pg *postgresDatabase, wrap func(net.Conn) net.Conn) client {
	t.Helper()
	return clientDialling(t, pg, func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return wrap(conn), nil
	})
}

// clientDialling returns a client that makes its connections with dial.
func clientDialling(t *testing.T, pg *postgresDatabase, dial pgconn.DialFunc) client {
	t.Helper()
	config, err := pgxpool.ParseConfig(pg.address)
	require.NoError(t, err)
	config.ConnConfig.TLSConfig, config.ConnConfig.Fallbacks = nil, nil // to see the commit
	config.ConnConfig.DialFunc = dial
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	c, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: quiet, Schema: pg.schema})
	require.NoError(t, err)
	return c
}
