package core_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/afterspan/afterspan/core"
)

// A queue is an engine of its own: it stores jobs, and works on them later, three times at most.
type queue struct {
	chain *core.Chain
	jobs  []job
}

// A job is what would be a row in a database.
type job struct {
	id        uint64
	kind      string
	requestID string // what the job's context needs of the one that it was started with
}

func (q *queue) insert(ctx context.Context, kind string) {
	task := core.NewTask(kind)
	ctx, err := q.chain.Spawn(ctx, task)
	if err != nil {
		q.chain.Refused(ctx, task, err)
		return
	}
	requestID, _ := ctx.Value(requestKey{}).(string)
	id := uint64(len(q.jobs) + 1)
	q.jobs = append(q.jobs, job{id, kind, requestID})
	q.chain.Enqueued(ctx, task, id)
}

func (q *queue) work(ctx context.Context, fn core.Func) {
	for _, j := range q.jobs {
		ctx := context.WithValue(ctx, requestKey{}, j.requestID)
		for attempt := range 3 {
			task := core.NewAttempt(core.Attempt{Name: j.kind, ID: j.id, Number: attempt + 1})
			if q.chain.Run(ctx, task, fn) == nil {
				break
			}
		}
	}
}

type requestKey struct{}

// The same middlewares as in a Manager, around the jobs of a queue. See package riverq for an engine
// that stores its jobs in a database.
func ExampleChain() {
	log := core.Middleware{
		Spawn: func(ctx context.Context, t *core.Task) context.Context {
			fmt.Println("inserted", t.Name())
			return ctx
		},
		Ended: func(ctx context.Context, t *core.Task) {
			fmt.Printf("%v, attempt %d, of %v: %v\n", t, t.Attempt(), ctx.Value(requestKey{}), t.Outcome())
		},
	}
	q := &queue{chain: core.NewChain(log)}
	q.insert(context.WithValue(context.Background(), requestKey{}, "request 7"), "send_receipt")

	mailServer := errors.New("the mail server is away")
	q.work(context.Background(), func(context.Context) error {
		err := mailServer
		mailServer = nil
		return err
	})
	// Output:
	// inserted send_receipt
	// send_receipt#1, attempt 1, of request 7: failed
	// send_receipt#1, attempt 2, of request 7: completed
}
