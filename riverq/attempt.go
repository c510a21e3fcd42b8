package riverq

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/afterspan/afterspan/core"
)

// A fate is what became of an insert.
type fate int

const (
	inserted fate = iota
	absent        // the jobs are not in the database
	unclear       // they may be there
)

// insertAll inserts the jobs of the batch, all of them or none. If the fault may be the database's,
// it tries again, until that time and for a quarter of the time of ctx at most: the fault may be one
// of the jobs as well.
func (b *batcher) insertAll(ctx context.Context, batch []*request, until time.Time) (fate, error) {
	const minPause, maxPause = 20 * time.Millisecond, 500 * time.Millisecond
	deadline, _ := ctx.Deadline()
	quarter := time.Now().Add(max(time.Until(deadline)/4, minPause))
	if quarter.Before(until) {
		until = quarter
	}
	tries, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	mark := newMark()
	jobs := make([]river.InsertManyParams, len(batch))
	for i, r := range batch {
		jobs[i] = mark.on(r.job)
	}
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := guarded(func() error { _, err := b.client.InsertMany(ctx, jobs); return err })
		became := b.fateOf(ctx, err, mark)
		switch {
		case became == inserted:
			return inserted, nil
		case became == unclear, !isWorthARetry(err), !sleep(tries, pause):
			return became, err
		}
	}
}

// isWorthARetry reports whether err may be the database's fault, and not one of the jobs.
func isWorthARetry(err error) bool { return mayPass(err) || mayHaveInserted(err) }

// fateOf returns what became of an insert that ended with err. If err does not tell, it asks the
// client until that answers, or ctx is done.
func (b *batcher) fateOf(ctx context.Context, err error, m mark) fate {
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
