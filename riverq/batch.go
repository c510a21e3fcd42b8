package riverq

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// An Inserter inserts jobs: a [river.Client]. If it also has the client's method JobList, [Handover]
// asks it what became of an insert whose answer was lost.
type Inserter interface {
	InsertMany(ctx context.Context, jobs []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

// How many jobs one insert may have: at first, and after inserts that succeeded. An insert that
// runs out of time inserts none of them.
const (
	firstBatch = 200
	maxBatch   = 2000
)

// A batcher inserts jobs that many tasks hand over at once. While one insert is under way, the
// other tasks wait, and the next insert takes as many of them as size allows.
type batcher struct {
	client Inserter

	mu      sync.Mutex // guards waiting
	waiting []*request // oldest first

	// inserting is held by the task that inserts. It guards size and the results of the requests.
	// It is not a mutex, because testing/synctest does not treat a goroutine that waits for one as
	// idle.
	inserting chan struct{}
	size      int // how many jobs the next insert may have
}

func newBatcher(client Inserter) *batcher {
	return &batcher{client: client, inserting: make(chan struct{}, 1), size: firstBatch}
}

// A request is one job to insert.
type request struct {
	job      river.InsertManyParams
	key      string // of a unique job, else empty
	deadline time.Time
	err      error         // why it could not be inserted so far; read it after ended is closed
	ended    chan struct{} // closed when err is final
	same     []*request    // with the same key: one insert is enough for all of them
}

// end ends the request and those with the same key.
func (r *request) end(err error) {
	r.err = err
	close(r.ended)
	for _, s := range r.same {
		s.end(err)
	}
}

func (r *request) isEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// insert returns when the job has been inserted, or could not be.
func (b *batcher) insert(job river.InsertManyParams, timeout time.Duration) error {
	r := &request{
		job: job, key: uniqueKey(job.Args), ended: make(chan struct{}),
		deadline: time.Now().Add(timeout), err: context.DeadlineExceeded,
	}
	b.mu.Lock()
	b.waiting = append(b.waiting, r)
	b.mu.Unlock()
	overdue := time.NewTimer(timeout)
	defer overdue.Stop()
	select {
	case b.inserting <- struct{}{}:
		b.insertUntilEnded(r)
	case <-overdue.C:
		if b.withdraw(r) {
			break
		}
		select { // an insert of it is under way: that ends it, or it waits again
		case <-r.ended:
		case b.inserting <- struct{}{}:
			b.insertUntilEnded(r)
		}
	}
	return r.err
}

// insertUntilEnded inserts jobs, those of others too, until r has ended. The caller has taken
// inserting, and insertUntilEnded gives it back.
func (b *batcher) insertUntilEnded(r *request) {
	defer func() { <-b.inserting }()
	for !r.isEnded() {
		b.insertWaiting(r.deadline)
	}
}

// withdraw takes r out of the queue. It returns false if r is not there.
func (b *batcher) withdraw(r *request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, r)
	if i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
	return i >= 0
}

// insertWaiting inserts jobs that wait, the oldest first. If nothing was inserted, all wait again,
// and the next batch is half as large: so a job that cannot be inserted is alone in the end. The
// caller holds inserting, and has time until that deadline.
func (b *batcher) insertWaiting(until time.Time) {
	batch := b.take()
	if len(batch) == 0 {
		return
	}
	deadline := earliest(batch)
	ctx, cancel := context.WithDeadline(withHandover(context.Background()), deadline)
	defer cancel()
	undecided := batch
	defer func() { // a method of an error may panic
		for _, r := range undecided {
			r.end(errNotInserted)
		}
	}()
	began := time.Now()
	became, err := b.insertAll(ctx, batch, until)
	undecided = nil
	switch isAlone := len(batch) == 1; {
	case became == absent && !isAlone:
		b.size = len(batch) / 2
		b.putBack(batch, err)
		return
	case became == absent && isWorthARetry(err): // after the others, until its time is over
		b.putBack(batch, err)
		return
	case became == inserted && 2*time.Since(began) < time.Until(deadline):
		b.size = min(2*b.size, maxBatch) // there is time for one that takes twice as long
	}
	for _, r := range batch {
		r.end(err)
	}
}

// take takes the next batch out of the queue. It has at most one job of each key: River refuses a
// batch that has two. It ends requests whose time is over.
func (b *batcher) take() (batch []*request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, withKey := time.Now(), make(map[string]*request)
	kept := b.waiting[:0]
	for _, r := range b.waiting {
		first := withKey[r.key]
		switch {
		case !now.Before(r.deadline):
			r.end(r.err)
		case first != nil:
			first.same = append(first.same, r)
		case len(batch) == b.size:
			kept = append(kept, r)
		default:
			batch = append(batch, r)
			if r.key != "" {
				withKey[r.key] = r
			}
		}
	}
	clear(b.waiting[len(kept):])
	b.waiting = kept
	return batch
}

// putBack puts requests back into the queue: to the front, but one that was alone to the end. err is
// why they were not inserted.
func (b *batcher) putBack(batch []*request, err error) {
	var all []*request
	for _, r := range batch {
		all = append(append(all, r), r.same...)
		r.same = nil
	}
	for _, r := range all {
		r.err = err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(batch) == 1 {
		b.waiting = append(b.waiting, all...)
	} else {
		b.waiting = append(all, b.waiting...)
	}
}

// earliest returns the first deadline of the batch.
func earliest(batch []*request) time.Time {
	return slices.MinFunc(batch, func(a, b *request) int { return a.deadline.Compare(b.deadline) }).deadline
}
