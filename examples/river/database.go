package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	_ "modernc.org/sqlite"
)

// schema is the schema of the example in PostgreSQL. It is dropped at the end.
const schema = "afterspan_example"

// A client is what the example needs of a river.Client, whatever its database.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Insert(ctx context.Context, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
	InsertMany(ctx context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

// A database is a file, or a schema of a PostgreSQL.
type database struct {
	url     string
	file    *sql.DB       // or nil
	pool    *pgxpool.Pool // or nil
	dir     string        // of the file, if this process made it
	created bool
}

// createDatabase opens the database that DATABASE_URL names, or makes a file, and River's tables in
// it.
func createDatabase(ctx context.Context) (*database, error) {
	url := os.Getenv("DATABASE_URL")
	dir := ""
	if url == "" {
		var err error
		if dir, err = os.MkdirTemp("", "afterspan-river"); err != nil {
			return nil, err
		}
		url = "sqlite:" + filepath.Join(dir, "river.db")
	}
	db, err := openDatabase(ctx, url)
	if err != nil {
		return nil, err
	}
	db.dir, db.created = dir, true
	if db.file != nil {
		return db, migrate(ctx, riversqlite.New(db.file), "")
	}
	if _, err := db.pool.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		return nil, err
	}
	return db, migrate(ctx, riverpgxv5.New(db.pool), schema)
}

// openDatabase opens sqlite:PATH or an address of PostgreSQL.
func openDatabase(ctx context.Context, url string) (*database, error) {
	path, isFile := strings.CutPrefix(url, "sqlite:")
	if !isFile {
		pool, err := pgxpool.New(ctx, url)
		return &database{url: url, pool: pool}, err
	}
	// Several processes share the file: readers do not hold up the writer, and writers wait for
	// each other.
	options := "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate"
	file, err := sql.Open("sqlite", "file:"+path+options)
	if err != nil {
		return nil, err
	}
	file.SetMaxOpenConns(1) // as River's driver asks for
	return &database{url: url, file: file}, nil
}

func migrate[T any](ctx context.Context, driver riverdriver.Driver[T], schema string) error {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema, Logger: quiet})
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func (db *database) client(config *river.Config) (client, error) {
	config.Logger = quiet
	if db.file != nil {
		return river.NewClient(riversqlite.New(db.file), config)
	}
	config.Schema = schema
	return river.NewClient(riverpgxv5.New(db.pool), config)
}

// openJobs returns how many jobs are not completed.
func (db *database) openJobs(ctx context.Context) (n int, err error) {
	const query = "SELECT count(*) FROM %river_job WHERE state <> 'completed'"
	if db.file != nil {
		err = db.file.QueryRowContext(ctx, strings.ReplaceAll(query, "%", "")).Scan(&n)
	} else {
		err = db.pool.QueryRow(ctx, strings.ReplaceAll(query, "%", schema+".")).Scan(&n)
	}
	return n, err
}

// drop closes the database, and deletes what createDatabase made.
func (db *database) drop() error {
	if db.file != nil {
		return errors.Join(db.file.Close(), os.RemoveAll(db.dir))
	}
	defer db.pool.Close()
	_, err := db.pool.Exec(context.Background(), "DROP SCHEMA "+schema+" CASCADE")
	return err
}

func (db *database) close() {
	if db.file != nil {
		_ = db.file.Close()
	} else {
		db.pool.Close()
	}
}
