package core

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// A Task is one piece of background work, and the handle on it. All its methods are safe for
// concurrent use. A Task may be kept: it does not keep the values of the request in memory once it
// has ended.
type Task struct {
	// Set before any hook sees the task, and not changed after that.
	id      uint64
	name    string
	manager *Manager // nil if made by NewTask
	options taskOptions
	created time.Time

	// Guarded by manager.mu.
	item      sched.Item[*Task]
	ready     bool  // its Spawns have returned, or there are none
	overdue   bool  // it is counted in Stats.Overdue
	reported  bool  // it was logged as overdue
	stuck     bool  // it was logged as waiting for a task behind it
	nextReady *Task // see workers

	mu          sync.Mutex // guards the fields below
	run         *run       // from Go to the end; nil if made by NewTask
	started     time.Time  // zero: it has not started
	cause       error      // why it was cancelled; nil: it was not
	cancelledAt time.Time  // zero: it was not cancelled
	err         error
	endCause    error         // what had cancelled the context when the outcome was decided
	done        chan struct{} // made when first asked for
	outcome     Outcome
	byContext   bool // cause is that of the context given to Go
	dequeued    bool // it was cancelled in the queue
	abandoned   bool // Abandoned has been called
	isDone      bool
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// NewTask returns a task that no manager knows, for tests of middlewares and for engines other than
// [Manager]. Its ID is 0, and it never starts or ends. Cancel only makes [Task.OutcomeOf] say so.
func NewTask(name string, opts ...TaskOption) *Task {
	return newTask(name, nil, nil, opts)
}

func newTask(name string, attrs []slog.Attr, defaults, opts []TaskOption) *Task {
	if name == "" {
		name = "background_task"
	}
	t := &Task{name: name, created: time.Now()}
	t.options.attrs = attrs[:len(attrs):len(attrs)]
	t.options.apply(defaults)
	t.options.apply(opts)
	t.options.attrs = latest(t.options.attrs)
	t.item.Owner, t.item.Key = t, t.options.key
	return t
}

// latest returns attrs without those that have a later attribute with the same key.
func latest(attrs []slog.Attr) []slog.Attr {
	for i := range attrs {
		if containsKey(attrs[i+1:], attrs[i].Key) {
			return slices.Collect(func(yield func(slog.Attr) bool) {
				for i, a := range attrs {
					if !containsKey(attrs[i+1:], a.Key) && !yield(a) {
						return
					}
				}
			})
		}
	}
	return attrs
}

func containsKey(attrs []slog.Attr, key string) bool {
	return key != "" && slices.ContainsFunc(attrs, func(a slog.Attr) bool { return a.Key == key })
}

// ID returns the task's number, counted from 1 by its manager in the order of acceptance. It is 0
// for a task that the manager refused and for one made by [NewTask].
func (t *Task) ID() uint64 { return t.id }

// Name returns the name given to [Manager.Go], or "background_task" if that was empty.
func (t *Task) Name() string { return t.name }

// Attrs returns a copy of the task's attributes. Values that are a [slog.LogValuer] are not
// resolved: call Resolve on each before reading it.
func (t *Task) Attrs() []slog.Attr { return slices.Clone(t.options.attrs) }

// Timeout returns how long the run may take, or 0 for no limit.
func (t *Task) Timeout() time.Duration { return t.options.timeout }

// CreatedAt returns when the task was accepted, with a monotonic reading.
func (t *Task) CreatedAt() time.Time { return t.created }

// StartedAt returns when the task left the queue to run, with a monotonic reading. It is zero while
// the task is queued, and stays zero for a task that was cancelled in the queue.
func (t *Task) StartedAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.started
}

// Done returns a channel that is closed when the task has ended: after its chain has returned, with
// Err and Outcome set. For a refused task it is closed from the beginning.
func (t *Task) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		if t.isDone {
			t.done = closedChan
		} else {
			t.done = make(chan struct{})
		}
	}
	return t.done
}

// Err returns the task's error: nil until the outcome is decided and if the task completed.
// Otherwise it is what the chain returned, a [*PanicError] or [ErrGoexit]; for a refused task an
// error that matches [ErrRejected]; for a task cancelled in the queue the cause, unless the chain
// changed it.
func (t *Task) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Outcome returns how the task ended, or [Pending] until that is decided.
func (t *Task) Outcome() Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outcome
}

// Wait waits for the end of the task and returns its error; or ctx's error, if ctx is done first.
// In that case the task goes on, and its Outcome is still [Pending]. After Wait has returned nil,
// what the task wrote can be read without a lock: that is how a result gets out.
//
// Wait called with the context of a task of the same manager logs at WARN, at most once a second,
// if that task holds the slot or the key that t is queued for. If nothing else frees it, neither
// ends.
func (t *Task) Wait(ctx context.Context) error {
	done := t.Done()
	select {
	case <-done:
		return t.Err()
	default:
	}
	t.warnIfStuck(ctx)
	select {
	case <-done:
		return t.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// warnIfStuck logs that a task waits for t, if ctx is that task's and t is queued behind it.
func (t *Task) warnIfStuck(ctx context.Context) {
	m := t.manager
	if m == nil {
		return
	}
	waiter, ok := TaskFromContext(ctx)
	if !ok || waiter.manager != m {
		return
	}
	m.mu.Lock()
	stuck := !waiter.stuck && m.sched.Blocks(&waiter.item, &t.item)
	waiter.stuck = waiter.stuck || stuck
	m.mu.Unlock()
	if stuck {
		m.logStuck(ctx, waiter, t)
	}
}

// String returns the task's name and id.
func (t *Task) String() string { return fmt.Sprintf("%s#%d", t.name, t.id) }

// isLive reports whether t, which was accepted, has not ended.
func (t *Task) isLive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.isDone && t.run != nil
}

// isDequeued reports whether t was cancelled in the queue.
func (t *Task) isDequeued() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dequeued
}

// attached reports whether t is cancelled with the context given to Go.
func (t *Task) attached() bool { return t.options.attached }

// settle sets how the task ended.
func (t *Task) settle(outcome Outcome, err, endCause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcome, t.err, t.endCause = outcome, err, endCause
}

// close settles how the task ended and closes Done. It lets go of what only a run needs: a handle
// may be kept for long.
func (t *Task) close(outcome Outcome, err, endCause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcome, t.err, t.endCause = outcome, err, endCause
	t.run, t.isDone = nil, true
	if t.done != nil {
		close(t.done)
	}
}
