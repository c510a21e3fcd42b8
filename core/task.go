package core

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// A Task is a handle on one piece of background work. Its methods are safe for concurrent use. You
// may keep it: after the end of the work it does not hold the request's context.
type Task struct {
	// Set before the first hook is called, and constant from then on. options.group goes at the
	// end.
	id      uint64
	name    string
	manager *Manager // nil if made by NewTask or NewAttempt
	options taskOptions
	created time.Time

	// Guarded by manager.mu.
	item       sched.Item[*Task]
	ready      bool  // it is prepared: its Spawns are over, or there are none
	overdue    bool  // it is counted in Stats.Overdue
	reported   bool  // it was logged as overdue
	stuck      bool  // it was logged as waiting for a task that is queued behind it
	byShutdown bool  // the shutdown cancelled it
	nextReady  *Task // see workers

	// mu guards the fields below. The goroutine that prepares or runs the task reads run without
	// it, and so does the holder of manager.mu while the task waits for room.
	mu      sync.Mutex
	run     *run      // from Go, or Chain.Run, to the end
	started time.Time // zero: its run has not begun, or the task is skipped
	// cause says why the task was cancelled, the first time. It is ErrTimeout if the timeout had
	// passed by then, and nil if the task was not cancelled.
	cause       error
	cancelledAt time.Time
	err         error
	endCause    error         // the cause that the outcome was judged by
	done        chan struct{} // made by the first Done
	outcome     Outcome
	byContext   bool // the context given to Go cancelled it
	skipped     bool // it was cancelled before its run began, and skips its Func
	abandoned   bool // its Abandoned hooks were called
	handedOver  bool // it was cancelled, and a middleware saved its work
	isDone      bool
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// NewTask returns a task that belongs to no [Manager], for testing a middleware or for an engine
// (see [Chain]). Its ID is 0. Until [Chain.Run] runs it, it does not start, and Cancel only changes
// what [Task.OutcomeOf] returns.
func NewTask(name string, opts ...TaskOption) *Task {
	return newTask(name, nil, nil, opts)
}

func newTask(name string, attrs []slog.Attr, defaults, opts []TaskOption) *Task {
	t := &Task{name: cmp.Or(name, "background_task"), created: time.Now()}
	t.options.attrs = slices.Clip(attrs)
	t.options.apply(defaults)
	t.options.apply(opts)
	t.options.attrs = lastOfEachKey(t.options.attrs)
	t.item.Owner, t.item.Key = t, t.options.key
	return t
}

// ID returns the task's number, counted from 1 by its manager in the order of acceptance. It is 0
// for a task that the manager refused and for one made by [NewTask]. The ID of a task of another
// engine is the one that [NewAttempt] or [Chain.Enqueued] was given.
func (t *Task) ID() uint64 { return t.id }

// Name returns the name given to [Manager.Go], or "background_task" if that was empty.
func (t *Task) Name() string { return t.name }

// Attrs returns a copy of the task's attributes. Values that are a [slog.LogValuer] are not
// resolved: call Resolve on each before reading it.
func (t *Task) Attrs() []slog.Attr { return slices.Clone(t.options.attrs) }

// Timeout returns how long the run may take, or 0 for no limit.
func (t *Task) Timeout() time.Duration { return t.options.timeout }

// CreatedAt returns when Go was called or, if it waited for room, when the task was accepted. The
// time has a monotonic reading.
func (t *Task) CreatedAt() time.Time { return t.created }

// StartedAt returns when the run began, with a monotonic reading. It is zero before that. It stays
// zero if the Func was skipped: the task was cancelled in the queue, or the context that it is
// attached to ended before its run began.
func (t *Task) StartedAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.started
}

// Done returns a channel that is closed when the task has ended: after its chain has returned and
// the Ended hooks were called. The channel of a refused task is closed already.
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

// Err returns the task's error: nil until the outcome is decided, and nil for a completed task.
// Else it is the error that the chain returned, a [*PanicError] or [ErrGoexit]. The error of a
// refused task matches [ErrRejected]. That of a task cancelled in the queue is the cause, unless a
// middleware returned another one.
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

// Wait waits until the task has ended and returns its error. If ctx is done first it returns ctx's
// error, and the task goes on. Once the task has ended, variables that it wrote can be read without
// a lock: that is how to return a result.
//
// If ctx belongs to a task of the same manager, and t is queued for a slot or a key that this task
// holds, Wait logs a warning with both names: unless something else frees it, neither task ends.
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

// warnIfStuck logs a warning, once for each task, if ctx belongs to a task that t is queued behind.
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

// isLive reports whether t, an accepted task, has not ended.
func (t *Task) isLive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.run != nil
}

// errOfFunc returns the error of the last call of the Func, or nil.
func (t *Task) errOfFunc() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.run == nil {
		return nil
	}
	return t.run.calls.err
}

// settle sets the outcome, the error and the cause. A Func that returns ErrHandedOver got it from
// another task: its own work was not handed over.
func (t *Task) settle(outcome Outcome, err, cause error) {
	handedOver := outcome == Cancelled && is(err, ErrHandedOver) && !is(t.errOfFunc(), ErrHandedOver)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handedOver = handedOver
	t.outcome, t.err, t.endCause = outcome, err, cause
}

// close closes Done. It drops the run, because a handle may be kept for a long time.
func (t *Task) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.run, t.isDone = nil, true
	if t.done != nil {
		close(t.done)
	}
}
