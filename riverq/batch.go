package riverq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	began := time.Now()
	what, err := b.insertAll(ctx, batch, until)
	isAlone := len(batch) == 1
	switch {
	case what == absent && !isAlone:
		b.size = max(len(batch)/2, 1)
		b.putBack(batch, err)
		return
	case what == absent && isWorthARetry(err): // until its time is over
		b.putBack(batch, err)
		return
	}
	for _, r := range batch {
		r.end(err)
	}
	if what == inserted && 2*time.Since(began) < time.Until(deadline) { // there is time for one that takes twice as long
		b.size = min(2*b.size, maxBatch)
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

// What became of an insert.
type became int

const (
	inserted became = iota
	absent          // the jobs are not in the database
	unclear         // they may be there
)

// insertAll inserts the jobs of the batch, all of them or none. After a fault that may pass it tries
// again, for a quarter of the time that is left: the fault may be one of the jobs.
func (b *batcher) insertAll(ctx context.Context, batch []*request, until time.Time) (became, error) {
	const minPause, maxPause = 20 * time.Millisecond, 500 * time.Millisecond
	deadline, _ := ctx.Deadline()
	tries, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	tries, stop := context.WithTimeout(tries, max(time.Until(deadline)/4, minPause))
	defer stop()
	mark := newMark()
	jobs := make([]river.InsertManyParams, len(batch))
	for i, r := range batch {
		jobs[i] = mark.on(r.job)
	}
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := guarded(func() error { _, err := b.client.InsertMany(ctx, jobs); return err })
		switch what := b.whatBecame(ctx, err, mark); {
		case what == inserted:
			return inserted, nil
		case what == unclear, !isWorthARetry(err), !sleep(tries, pause):
			return what, err
		}
	}
}

// isWorthARetry reports whether err may be of the database, and not of the jobs.
func isWorthARetry(err error) bool { return mayPass(err) || mayHaveInserted(err) }

// whatBecame returns what became of an insert that ended with err. If err does not tell, it asks the
// client until that answers, or ctx is done.
func (b *batcher) whatBecame(ctx context.Context, err error, m mark) became {
	const pause = 50 * time.Millisecond
	switch {
	case err == nil:
		return inserted
	case mayPass(err), !mayHaveInserted(err):
		return absent
	}
	client, canAsk := b.client.(lister)
	for canAsk && sleep(ctx, pause) {
		found := false
		err := guarded(func() (err error) { found, err = m.isIn(ctx, client); return err })
		switch {
		case err == nil && found:
			return inserted
		case err == nil:
			return absent
		}
		canAsk = isWorthARetry(err)
	}
	return unclear
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

// guarded calls f, which calls the client, on a goroutine of its own, so that a panic or
// runtime.Goexit of arguments or hooks does not end the task that inserts for all.
func guarded(f func() error) error {
	err := errNotInserted // kept if f calls runtime.Goexit
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		defer func() {
			if v := recover(); v != nil { // as text: the panic is not the task's
				err = errors.New("afterspan: the insert panicked: " + (&core.PanicError{Value: v}).Error())
			}
		}()
		err = f()
	}()
	<-returned
	return err
}

// uniqueKey returns a key that jobs have in common only if River's unique key is the same for them.
// It is empty for a job that is not unique.
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
	opts := withOpts.InsertOpts()
	if reflect.ValueOf(opts.UniqueOpts).IsZero() {
		return ""
	}
	encoded, err := json.Marshal(args)
	if err != nil {
		return ""
	}
	if !opts.UniqueOpts.ByArgs {
		encoded = nil
	}
	return fmt.Sprintf("%q %+v %q %v %s", args.Kind(), opts.UniqueOpts, opts.Queue, opts.ScheduledAt, encoded)
}

type handoverKey struct{}

// withHandover marks inserts by Handover, whose jobs carry their trace already.
func withHandover(ctx context.Context) context.Context {
	return context.WithValue(ctx, handoverKey{}, true)
}

func isHandover(ctx context.Context) bool { return ctx.Value(handoverKey{}) != nil }
