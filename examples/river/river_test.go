package main

import (
	"bytes"
	"cmp"
	"os"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain is the program where the example starts itself as one of the other processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "api" || os.Args[1] == "worker") {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestOnSQLite(t *testing.T) {
	t.Setenv("DATABASE_URL", "")
	checkRun(t)
}

func TestOnPostgreSQL(t *testing.T) {
	url := cmp.Or(os.Getenv("POSTGRES_URL"), "postgres://postgres@127.0.0.1:5432/test")
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	defer pool.Close()
	if err := pool.Ping(t.Context()); err != nil && os.Getenv("AFTERSPAN_REQUIRE_SERVICES") == "" {
		t.Skipf("no PostgreSQL: %v", err)
	}
	t.Setenv("DATABASE_URL", url)
	checkRun(t)
}

var (
	began    = regexp.MustCompile(`worker 1 \| send_receipt +job (\d+) attempt 1 began`)
	inserted = regexp.MustCompile(`api +\| spawn send_receipt pending +trace (\w+) span (\w+)`)
	spawned  = regexp.MustCompile(`api +\| spawn warm_cache +(completed|handed over) +trace (\w+) span (\w+)`)
	worked   = regexp.MustCompile(`worker \d \| (\w+) +completed +(?:attempt (\d))? +trace \w+ span \w+  ← trace (\w+) span (\w+)`)
)

// checkRun checks that all jobs were done, that their spans link to where they were started, and that
// the one that was interrupted has a second attempt.
func checkRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out, os.Stderr), out.String())
	said := out.String()
	t.Log("\n" + said)
	starts := map[string]string{} // span to kind
	for _, m := range inserted.FindAllStringSubmatch(said, -1) {
		starts[m[1]+m[2]] = "send_receipt"
	}
	assert.Len(t, starts, 4)
	handedOver := 0
	for _, m := range spawned.FindAllStringSubmatch(said, -1) {
		if m[1] == "handed over" {
			starts[m[2]+m[3]] = "warm_cache"
			handedOver++
		}
	}
	assert.Positive(t, handedOver)
	assert.NotEmpty(t, began.FindAllString(said, -1), "worker 1 had begun a job")
	second := 0
	for _, m := range worked.FindAllStringSubmatch(said, -1) {
		assert.Equal(t, m[1], starts[m[3]+m[4]], m[0])
		delete(starts, m[3]+m[4])
		if m[2] == "2" {
			second++
		}
	}
	assert.Empty(t, starts, "all were done")
	assert.Equal(t, 1, second, "attempts that took over")
}
