package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// A client is what the tests use of a river.Client, whatever its database.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	Insert(ctx context.Context, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
	InsertMany(ctx context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
	InsertManyFast(ctx context.Context, jobs []river.InsertManyParams) (int, error)
	JobCancel(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobGet(ctx context.Context, id int64) (*rivertype.JobRow, error)
	SubscribeConfig(config *river.SubscribeConfig) (<-chan *river.Event, func())
}

// A database is one of the tests' databases. Other processes open it with its URL and schema.
type database interface {
	client(config *river.Config) (client, error)
	insertTx(ctx context.Context, c client, commit bool, args river.JobArgs) error
	exec(ctx context.Context, statement string, args ...any) error
	queryInt(ctx context.Context, query string, args ...any) (int, error)
	url() string
	table(name string) string
	close()
}

// openDatabase opens what url names: sqlite:PATH, or an address of PostgreSQL with a schema after
// a #.
func openDatabase(ctx context.Context, url string) (database, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return openSQLite(path)
	}
	return openPostgres(ctx, url)
}

// sqliteDatabase is a file.
type sqliteDatabase struct {
	path string
	pool *sql.DB
}

func openSQLite(path string) (*sqliteDatabase, error) {
	options := "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	pool, err := sql.Open("sqlite", "file:"+path+options)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1) // as River asks for
	return &sqliteDatabase{path, pool}, nil
}

func (d *sqliteDatabase) driver() *riversqlite.Driver { return riversqlite.New(d.pool) }
func (d *sqliteDatabase) url() string                 { return "sqlite:" + d.path }
func (d *sqliteDatabase) table(name string) string    { return name }
func (d *sqliteDatabase) close()                      { d.pool.Close() }

func (d *sqliteDatabase) client(config *river.Config) (client, error) {
	return river.NewClient(d.driver(), config)
}

func (d *sqliteDatabase) insertTx(ctx context.Context, c client, commit bool, args river.JobArgs) error {
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := c.(*river.Client[*sql.Tx]).InsertTx(ctx, tx, args, nil); err != nil {
		return err
	}
	if commit {
		return tx.Commit()
	}
	return tx.Rollback()
}

func (d *sqliteDatabase) exec(ctx context.Context, statement string, args ...any) error {
	_, err := d.pool.ExecContext(ctx, statement, args...)
	return err
}

func (d *sqliteDatabase) queryInt(ctx context.Context, query string, args ...any) (n int, err error) {
	err = d.pool.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// postgresDatabase is a schema.
type postgresDatabase struct {
	address, schema string
	pool            *pgxpool.Pool
}

func openPostgres(ctx context.Context, url string) (*postgresDatabase, error) {
	address, schema, _ := strings.Cut(url, "#")
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return &postgresDatabase{address, schema, pool}, err
}

func (d *postgresDatabase) driver() *riverpgxv5.Driver { return riverpgxv5.New(d.pool) }
func (d *postgresDatabase) url() string                { return d.address + "#" + d.schema }
func (d *postgresDatabase) table(name string) string   { return d.schema + "." + name }
func (d *postgresDatabase) close()                     { d.pool.Close() }

func (d *postgresDatabase) client(config *river.Config) (client, error) {
	config.Schema = d.schema
	return river.NewClient(d.driver(), config)
}

func (d *postgresDatabase) insertTx(ctx context.Context, c client, commit bool, args river.JobArgs) error {
	tx, err := d.pool.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := c.(*river.Client[pgx.Tx]).InsertTx(ctx, tx, args, nil); err != nil {
		return err
	}
	if commit {
		return tx.Commit(ctx)
	}
	return tx.Rollback(ctx)
}

func (d *postgresDatabase) exec(ctx context.Context, statement string, args ...any) error {
	_, err := d.pool.Exec(ctx, statement, args...)
	return err
}

func (d *postgresDatabase) queryInt(ctx context.Context, query string, args ...any) (n int, err error) {
	err = d.pool.QueryRow(ctx, query, args...).Scan(&n)
	return n, err
}

// onEach runs a test on both databases, each new and migrated.
func onEach(t *testing.T, test func(t *testing.T, db database)) {
	t.Run("SQLite", func(t *testing.T) {
		db, err := openSQLite(filepath.Join(t.TempDir(), "river.db"))
		require.NoError(t, err)
		t.Cleanup(db.close)
		migrator, err := rivermigrate.New(db.driver(), &rivermigrate.Config{Logger: quiet})
		require.NoError(t, err)
		migrate(t, migrator)
		test(t, db)
	})
	t.Run("PostgreSQL", func(t *testing.T) { test(t, migratedPostgres(t)) })
}

func migratedPostgres(t *testing.T) *postgresDatabase {
	t.Helper()
	pg := newPostgres(t)
	migrate(t, pg.migrator(t))
	return pg
}

// countJobs returns how many jobs there are.
func countJobs(t *testing.T, db database) int {
	t.Helper()
	n, err := db.queryInt(t.Context(), "SELECT count(*) FROM "+db.table("river_job"))
	require.NoError(t, err)
	return n
}

func (d *postgresDatabase) migrator(t testing.TB) *rivermigrate.Migrator[pgx.Tx] {
	m, err := rivermigrate.New(d.driver(), &rivermigrate.Config{Schema: d.schema, Logger: quiet})
	require.NoError(t, err)
	return m
}

func migrate[T any](t testing.TB, m *rivermigrate.Migrator[T]) {
	t.Helper()
	_, err := m.Migrate(t.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
}

// newPostgres makes a schema in the server that POSTGRES_URL names, by default the local one. Without
// a server it skips the test, or fails it if AFTERSPAN_REQUIRE_SERVICES is set.
func newPostgres(t testing.TB) *postgresDatabase {
	t.Helper()
	address := os.Getenv("POSTGRES_URL")
	if address == "" {
		address = "postgres://postgres@127.0.0.1:5432/test"
	}
	schema := fmt.Sprintf("riverq_%d_%d", os.Getpid(), time.Now().UnixNano())
	db, err := openPostgres(t.Context(), address+"#"+schema)
	require.NoError(t, err)
	t.Cleanup(db.close)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := db.pool.Ping(ctx); err != nil {
		if os.Getenv("AFTERSPAN_REQUIRE_SERVICES") != "" {
			t.Fatalf("no PostgreSQL, and AFTERSPAN_REQUIRE_SERVICES is set: %v", err)
		}
		t.Skipf("no PostgreSQL: %v", err)
	}
	require.NoError(t, db.exec(ctx, "CREATE SCHEMA "+schema))
	t.Cleanup(func() { dropSchema(t, address, schema) })
	return db
}

// dropSchema has a connection of its own, because a test may have closed the others.
func dropSchema(t testing.TB, address, schema string) {
	db, err := openPostgres(context.Background(), address)
	require.NoError(t, err)
	defer db.close()
	require.NoError(t, db.exec(context.Background(), "DROP SCHEMA "+schema+" CASCADE"))
}
