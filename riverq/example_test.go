package riverq_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

var driver riverdriver.Driver[*sql.Tx]

type ReceiptArgs struct {
	OrderID string `json:"order_id"`
}

func (ReceiptArgs) Kind() string { return "send_receipt" }

func sendReceipt(ctx context.Context, args ReceiptArgs) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fmt.Println("receipt of", args.OrderID, "sent")
	return nil
}

// The middlewares of a service, around its jobs.
func ExampleNew() {
	workers := river.NewWorkers()
	river.AddWorker(workers, riverq.WorkFunc(sendReceipt))
	// driver is riverpgxv5.New(pool), for PostgreSQL, or riversqlite.New(db).
	_, err := river.NewClient(driver, &river.Config{
		Plugins: []rivertype.Plugin{riverq.New(riverq.WithMiddleware(otelmw.New()))},
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
		Workers: workers,
	})
	if err != nil {
		fmt.Println(err)
	}
}

// A function with arguments, as a task. WorkFunc makes a worker of the same function.
func ExampleGo() {
	tasks := core.New()
	riverq.Go(context.Background(), tasks, ReceiptArgs{"o-1"}, sendReceipt)
	_ = tasks.Wait(context.Background())
	// Output: receipt of o-1 sent
}

// client stands for a river.Client.
type client struct{}

func (client) InsertMany(_ context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error) {
	for _, job := range jobs {
		fmt.Printf("inserted %s %+v\n", job.Args.Kind(), job.Args)
	}
	return nil, nil
}

// A task that a shutdown cancels is inserted as a job.
func ExampleHandover() {
	tasks := core.New(core.WithMiddleware(otelmw.New(), riverq.Handover(client{})))
	started := make(chan struct{})
	task := riverq.Go(context.Background(), tasks, ReceiptArgs{"o-1"}, func(ctx context.Context, _ ReceiptArgs) error {
		close(started)
		<-ctx.Done() // slow mail server
		return ctx.Err()
	})
	<-started
	_ = tasks.Close()
	fmt.Println(task.Outcome())
	// Output:
	// inserted send_receipt {OrderID:o-1}
	// cancelled
}
