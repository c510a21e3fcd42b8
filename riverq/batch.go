package riverq

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/afterspan/afterspan/core"
)

// An Inserter inserts jobs: a [river.Client].
type Inserter interface {
	InsertMany(ctx context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

// maxBatch limits the jobs of one insert. An insert that runs out of time inserts none of them.
const maxBatch = 200

// A batcher inserts jobs that many tasks hand over at once. While one insert is under way, the other tasks
// wait, and the next insert takes all of them.
type batcher struct {
	client Inserter

	mu      sync.Mutex // guards waiting
	waiting []*request

	// inserting is held by the task that inserts. It guards the results of the requests. It is not a mutex,
	// because testing/synctest does not treat a goroutine that waits for one as idle.
	inserting chan struct{}
}

func newBatcher(client Inserter) *batcher {
	return &batcher{client: client, inserting: make(chan struct{}, 1)}
}

// A request is one job to insert.
type request struct {
	job      river.InsertManyParams
	deadline time.Time
	done     bool
	err      error
}

// insert returns when the job has been inserted, or could not be.
func (b *batcher) insert(job river.InsertManyParams, timeout time.Duration) error {
	r := &request{job: job, deadline: time.Now().Add(timeout)}
	b.mu.Lock()
	b.waiting = append(b.waiting, r)
	b.mu.Unlock()
	b.inserting <- struct{}{}
	defer func() { <-b.inserting }()
	for !r.done {
		b.insertWaiting()
	}
	return r.err
}

// insertWaiting inserts jobs that wait, the oldest first. The caller holds inserting.
func (b *batcher) insertWaiting() {
	batch := b.take()
	ctx, cancel := context.WithDeadline(withHandover(context.Background()), batch[len(batch)-1].deadline)
	defer cancel()
	if len(batch) > 1 && b.insertAll(ctx, batch) {
		return
	}
	for _, r := range batch { // one that cannot be inserted must not fail the others
		_ = b.insertAll(ctx, []*request{r})
	}
}

// take takes requests out of the queue.
func (b *batcher) take() []*request {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), maxBatch)
	batch := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return batch
}

// insertAll inserts the jobs of the batch, all of them or none.
func (b *batcher) insertAll(ctx context.Context, batch []*request) (inserted bool) {
	jobs := make([]river.InsertManyParams, len(batch))
	for i, r := range batch {
		jobs[i] = r.job
	}
	err := ctx.Err()
	if err == nil {
		err = b.call(ctx, jobs)
	}
	for _, r := range batch {
		r.done, r.err = true, err
	}
	return err == nil
}

// call calls the client on a goroutine of its own, so that a panic or runtime.Goexit of arguments or
// hooks does not end the task that inserts for all.
func (b *batcher) call(ctx context.Context, jobs []river.InsertManyParams) error {
	err := errNotInserted // kept if the client calls runtime.Goexit
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		defer func() {
			if v := recover(); v != nil { // as text: the panic is not the task's
				err = errors.New("afterspan: the insert panicked: " + (&core.PanicError{Value: v}).Error())
			}
		}()
		_, err = b.client.InsertMany(ctx, jobs)
	}()
	<-returned
	return err
}

type handoverKey struct{}

// withHandover marks inserts by Handover, whose jobs carry their trace already.
func withHandover(ctx context.Context) context.Context {
	return context.WithValue(ctx, handoverKey{}, true)
}

func isHandover(ctx context.Context) bool { return ctx.Value(handoverKey{}) != nil }
