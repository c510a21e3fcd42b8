package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

var (
	errClosed    = errors.New("closed")
	errCancelled = errors.New("cancelled")
	errTimeout   = errors.New("timed out")
	errGoexit    = errors.New("the goroutine ended")
)

// registry is what a careful engineer writes by hand. A task outlives the request, can be cancelled
// with a cause, has a timeout, does not end the process by a panic, is in a list and in a counter,
// and is waited for at the end.
type registry struct {
	mu      sync.Mutex
	closed  bool
	lastID  uint64
	running map[uint64]*entry
	ended   counters
	wg      sync.WaitGroup
	logger  *slog.Logger
}

// counters count by outcome.
type counters struct{ completed, failed, cancelled, timedOut int }

type entry struct {
	id      uint64
	name    string
	started time.Time
	cancel  context.CancelCauseFunc
}

func newRegistry(l *slog.Logger) *registry {
	return &registry{running: map[uint64]*entry{}, logger: l}
}

// Go runs fn in the background, with the values of ctx and without its cancellation. A timeout <= 0
// is none.
func (r *registry) Go(ctx context.Context, name string, timeout time.Duration, fn work) error {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	e := &entry{name: name, started: time.Now(), cancel: cancel}
	if err := r.add(e); err != nil {
		cancel(err)
		return err
	}
	go r.run(ctx, e, timeout, fn)
	return nil
}

func (r *registry) add(e *entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosed
	}
	r.lastID++
	e.id = r.lastID
	r.running[e.id] = e
	r.wg.Add(1)
	return nil
}

func (r *registry) run(ctx context.Context, e *entry, timeout time.Duration, fn work) {
	defer r.wg.Done()
	defer e.cancel(nil)
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	err := errGoexit // stands if fn does not return
	defer func() { r.end(ctx, e, err) }()
	err = call(ctx, fn)
}

// call calls fn and makes an error of a panic.
func call(ctx context.Context, fn work) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return fn(ctx)
}

func (r *registry) end(ctx context.Context, e *entry, err error) {
	cause := context.Cause(ctx)
	r.remove(e, cause, err)
	if err != nil && cause != errCancelled {
		r.logger.ErrorContext(ctx, "background task failed", "task", e.name, "id", e.id, "error", err)
	}
}

func (r *registry) remove(e *entry, cause, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, e.id)
	switch {
	case err == nil:
		r.ended.completed++
	case cause == errTimeout:
		r.ended.timedOut++
	case cause == errCancelled:
		r.ended.cancelled++
	default:
		r.ended.failed++
	}
}

// info is what the list says about a task.
type info struct {
	ID   uint64
	Name string
	Age  time.Duration
}

// list returns what is running, oldest first.
func (r *registry) list() []info {
	now := time.Now()
	r.mu.Lock()
	infos := make([]info, 0, len(r.running))
	for _, e := range r.running {
		infos = append(infos, info{e.id, e.name, now.Sub(e.started)})
	}
	r.mu.Unlock()
	slices.SortFunc(infos, func(a, b info) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

// cancelAll cancels what is running.
func (r *registry) cancelAll() {
	r.mu.Lock()
	entries := make([]*entry, 0, len(r.running))
	for _, e := range r.running {
		entries = append(entries, e)
	}
	r.mu.Unlock()
	for _, e := range entries {
		e.cancel(errCancelled)
	}
}

// shutdown refuses new tasks, cancels the others and waits for them.
func (r *registry) shutdown() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancelAll()
	r.wg.Wait()
}

// byHand is an engine with a registry. A timeout of 0 is none.
func byHand(timeout time.Duration) func() engine {
	return func() engine {
		r := newRegistry(quiet)
		return engine{
			starter: func(j job) func() {
				ctx, fn := j.ctx, j.marked()
				return func() { must(r.Go(ctx, taskName, timeout, fn)) }
			},
			cancel:    r.cancelAll,
			wait:      r.wg.Wait,
			close:     r.shutdown,
			completed: func() int { return r.ended.completed },
		}
	}
}
