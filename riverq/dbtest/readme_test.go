package dbtest

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

// The code of riverq's README, and of what the main README says of it. Package readme reads this file, too.

type ReceiptArgs struct{ OrderID string }

func (ReceiptArgs) Kind() string { return "send_receipt" }

func sendReceipt(context.Context, ReceiptArgs) error { return nil }

func manyMachines(ctx context.Context, pool *pgxpool.Pool, id string) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, riverq.WorkFunc(sendReceipt)) // func(ctx context.Context, args ReceiptArgs) error
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Plugins: []rivertype.Plugin{riverq.New(riverq.WithMiddleware(otelmw.New()))}, // as in core.New
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
		Workers: workers,
	})
	if err != nil {
		return err
	}

	_, err = client.Insert(ctx, ReceiptArgs{OrderID: id}, nil) // in a handler, with the span of the request in ctx
	if err != nil {
		return err
	}

	tasks := core.New(core.WithMiddleware(otelmw.New(), riverq.Handover(client)))

	riverq.Go(ctx, tasks, ReceiptArgs{OrderID: id}, sendReceipt) // a goroutine, and no transaction
	return nil
}

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// Every Go block of the README is in this file, line by line, and so compiles.
func TestREADMEShowsCodeThatCompiles(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	code, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	blocks := goBlock.FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		assert.Contains(t, withoutIndent(string(code)), withoutIndent(block[1]))
	}
	_ = manyMachines // it needs a server
}

func withoutIndent(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
