package dbtest

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/riverq"
)

// Each process of the deploy test starts so many tasks. It cannot run them all before the next deploy.
const tasksPerDeploy = 167

// TestDeploys starts a new process each second, and ends the one before it with SIGTERM. Every task
// runs to its end at least once. AFTERSPAN_DEPLOYS is their number: 60 are 10,020 tasks.
func TestDeploys(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	deploys := 4
	if n, err := strconv.Atoi(os.Getenv("AFTERSPAN_DEPLOYS")); err == nil {
		deploys = n
	}
	onEach(t, func(t *testing.T, db database) {
		deploys := deploys
		if _, isFile := db.(*sqliteDatabase); isFile {
			deploys = min(deploys, 8) // River writes one row at a time to SQLite
		}
		require.NoError(t, db.exec(t.Context(), "CREATE TABLE "+db.table("ran")+" (task integer NOT NULL)"))
		var all totals
		var old *process
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for i := range deploys {
			in := programInput{Program: "service", Database: db.url(), From: i * tasksPerDeploy, To: (i + 1) * tasksPerDeploy}
			next := startProgram(t, in)
			next.awaitLine(t, &struct{}{})
			all.end(t, old)
			old = next
			<-second.C
		}
		tasks := deploys * tasksPerDeploy
		require.Eventually(t, func() bool { // the last process does what is left
			n, err := db.queryInt(t.Context(), "SELECT count(DISTINCT task) FROM "+db.table("ran"))
			require.NoError(t, err)
			return n == tasks
		}, 90*time.Second, 100*time.Millisecond, "all %d tasks ran to their end", tasks)
		all.end(t, old)
		assert.Zero(t, all.lost)
		assert.Positive(t, all.handedOver)
		ends, err := db.queryInt(t.Context(), "SELECT count(*) FROM "+db.table("ran"))
		require.NoError(t, err)
		t.Logf("%d deploys, %d tasks: %d handed over, %d ran twice, none lost", deploys, tasks, all.handedOver, ends-tasks)
	})
}

// totals count over all processes.
type totals struct{ handedOver, lost int }

// end ends a process and adds its figures. It returns when the process has ended.
func (sum *totals) end(t *testing.T, p *process) {
	t.Helper()
	if p == nil {
		return
	}
	p.terminate()
	var report serviceReport
	p.awaitLine(t, &report)
	require.NoError(t, p.cmd.Wait())
	sum.handedOver += report.HandedOver
	sum.lost += report.Lost
}

// numberArgs are the arguments of a task that notes its end in the database.
type numberArgs struct {
	Number int `json:"number"`
}

func (numberArgs) Kind() string { return "note_number" }

type serviceReport struct{ HandedOver, Lost int }

// runService is a service that starts tasks, does jobs, and ends well after SIGTERM.
func runService(ctx context.Context, in programInput) error {
	stopping, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	db, err := openDatabase(ctx, in.Database)
	if err != nil {
		return err
	}
	defer db.close()
	work := func(ctx context.Context, args numberArgs) error {
		select {
		case <-time.After(time.Duration(20+args.Number%10*20) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		return db.exec(ctx, "INSERT INTO "+db.table("ran")+" (task) VALUES ($1)", args.Number)
	}
	config := newConfig(riverq.New())
	config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}}
	config.SoftStopTimeout = 100 * time.Millisecond
	river.AddWorker(config.Workers, riverq.WorkFunc(work))
	c, err := db.client(config)
	if err != nil {
		return err
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	tasks := core.New(core.WithLogger(quiet), core.WithLimit(10, -1), core.WithMiddleware(riverq.Handover(c)))
	for number := in.From; number < in.To; number++ {
		riverq.Go(ctx, tasks, numberArgs{number}, work)
	}
	if err := say(struct{}{}); err != nil {
		return err
	}
	<-stopping.Done()

	bound, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	drained, cancelDrain := context.WithTimeout(bound, 200*time.Millisecond)
	defer cancelDrain()
	_ = tasks.Wait(drained)
	_ = tasks.Close() // hands over what is left
	stats, _ := tasks.Shutdown(bound)
	lost := stats.CancelledTasks + stats.FailedTasks + stats.RemainingTasks - stats.HandedOver
	if err := c.Stop(bound); err != nil {
		return err
	}
	return say(serviceReport{stats.HandedOver, lost})
}
