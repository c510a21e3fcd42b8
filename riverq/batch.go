package riverq

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/afterspan/afterspan/core"
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
	done     bool
	err      error
	same     []*request // with the same key: one insert is enough for all of them
}

// finish ends the request and those with the same key.
func (r *request) finish(err error) {
	r.done, r.err = true, err
	for _, s := range r.same {
		s.done, s.err = true, err
	}
}

// insert returns when the job has been inserted, or could not be.
func (b *batcher) insert(job river.InsertManyParams, timeout time.Duration) error {
	r := &request{job: job, key: uniqueKey(job.Args), deadline: time.Now().Add(timeout)}
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
	deadline := batch[len(batch)-1].deadline
	ctx, cancel := context.WithDeadline(withHandover(context.Background()), deadline)
	defer cancel()
	began := time.Now()
	switch inserted := b.insertAll(ctx, batch); {
	case !inserted && mayPass(batch[0].err):
		return // time is over
	case !inserted:
		b.size = max(b.size/2, 1)
		b.insertPart(ctx, batch)
	case 2*time.Since(began) < time.Until(deadline): // there is time for one that takes twice as long
		b.size = min(2*b.size, maxBatch)
	}
}

// insertPart inserts part of a batch that could not be inserted. It halves the batch until it has
// found one job that cannot be inserted. The jobs that were not tried meanwhile wait for the next
// batch. Jobs that may be in the database are not tried again.
func (b *batcher) insertPart(ctx context.Context, batch []*request) {
	for len(batch) > 1 && !mayHaveInserted(batch[0].err) {
		first, second := batch[:len(batch)/2], batch[len(batch)/2:]
		if !b.insertAll(ctx, first) {
			b.putBack(second)
			batch = first
			continue
		}
		if batch = second; len(batch) == 1 {
			b.insertAll(ctx, batch) // the fault may be over
		}
	}
}

// take takes the next batch out of the queue. It has at most one job of each key: River refuses a
// batch that has two.
func (b *batcher) take() (batch []*request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	withKey := make(map[string]*request)
	for len(b.waiting) > 0 && len(batch) < b.size {
		r := b.waiting[0]
		b.waiting = b.waiting[1:]
		if first := withKey[r.key]; first != nil {
			first.same = slices.Concat(first.same, []*request{r}, r.same)
			continue
		}
		if r.key != "" {
			withKey[r.key] = r
		}
		batch = append(batch, r)
	}
	return batch
}

// putBack puts requests back to the front of the queue.
func (b *batcher) putBack(batch []*request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range batch {
		r.done = false
	}
	b.waiting = slices.Concat(batch, b.waiting)
}

// insertAll inserts the jobs of the batch, all of them or none.
func (b *batcher) insertAll(ctx context.Context, batch []*request) (inserted bool) {
	mark := newMark()
	jobs := make([]river.InsertManyParams, len(batch))
	for i, r := range batch {
		jobs[i] = mark.on(r.job)
	}
	err := ctx.Err()
	if err == nil {
		err = b.persist(ctx, jobs, mark)
	}
	for _, r := range batch {
		r.finish(err)
	}
	return err == nil
}

// persist inserts jobs. While the database is not there, it tries again until ctx is done. If the
// connection broke, it asks first whether the jobs are there.
func (b *batcher) persist(ctx context.Context, jobs []river.InsertManyParams, m mark) error {
	const minPause, maxPause = 20 * time.Millisecond, 500 * time.Millisecond
	err := b.call(ctx, jobs)
	for pause := minPause; b.maySucceed(err) && sleep(ctx, pause); pause = min(2*pause, maxPause) {
		if !mayPass(err) {
			found, askErr := m.isIn(ctx, b.client)
			if found {
				return nil
			}
			if askErr != nil {
				continue
			}
		}
		err = b.call(ctx, jobs)
	}
	return err
}

// maySucceed reports whether it is worth it to try again after err.
func (b *batcher) maySucceed(err error) bool {
	_, canAsk := b.client.(lister)
	return mayPass(err) || canAsk && mayHaveInserted(err)
}

// sleep returns after d. It returns false if ctx is done before that.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// call calls the client on a goroutine of its own, so that a panic or runtime.Goexit of arguments
// or hooks does not end the task that inserts for all.
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

// uniqueKey returns a key that jobs have in common for which River's unique key is the same. It is
// empty for a job that is not unique.
func uniqueKey(args river.JobArgs) (key string) {
	defer func() {
		if recover() != nil { // user code; the insert will show the panic
			key = ""
		}
	}()
	withOpts, ok := args.(river.JobArgsWithInsertOpts)
	if !ok {
		return ""
	}
	switch unique := withOpts.InsertOpts().UniqueOpts; {
	case reflect.ValueOf(unique).IsZero():
		return ""
	case !unique.ByArgs:
		return args.Kind()
	}
	encoded, err := json.Marshal(args)
	if err != nil {
		return ""
	}
	return args.Kind() + " " + string(encoded)
}

type handoverKey struct{}

// withHandover marks inserts by Handover, whose jobs carry their trace already.
func withHandover(ctx context.Context) context.Context {
	return context.WithValue(ctx, handoverKey{}, true)
}

func isHandover(ctx context.Context) bool { return ctx.Value(handoverKey{}) != nil }
