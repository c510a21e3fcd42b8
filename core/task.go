package core

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// A Task is one piece of background work, and the handle on it. All its methods are safe
// for concurrent use.
//
// A Task that is kept keeps the values of its context in memory, too.
type Task struct {
	id      uint64
	name    string
	shard   *shard // of its manager; nil if made by NewTask
	options taskOptions
	created time.Time
	contextState

	// The shard's lock guards these.
	prev, next *Task
	place      place
	spawned    bool // the Spawns have returned, or there are none
	overdue    bool // was logged as such

	linked bool // values can be cancelled: a Spawn made them so. It changes no more once the task is ready

	mu         sync.Mutex // guards the fields below
	started    bool
	skips      bool // fn is not called. It changes no more once the task is ready
	outcome    Outcome
	unlabelled bool // the context has no pprof labels. It changes no more once the run has started, and needs no lock
	calls      calls
	fn         Func
	waited     time.Duration   // from created to the start of the run
	innermost  context.Context // what fn was called with
	err        error
	done       chan struct{} // made when first asked for, closed at the end
	extra      *extra
}

// extra is what is kept of those tasks only that need it: most are neither cancelled nor fail.
type extra struct {
	cancelled time.Duration // when it was cancelled, after created; 0: it was not
	early     error         // the cause of a cancel that came before the start
	skip      error         // what the chain gets instead of a call of fn
	fnErr     error         // what fn returned last
	cause     error         // what had cancelled the context by then
	left      *leftBehind
	labels    any // of pprof, in the context
}

// more returns the extra of t for reading. It needs t.mu held, as does extras.
func (t *Task) more() extra {
	if t.extra == nil {
		return extra{}
	}
	return *t.extra
}

// extras returns the extra of t for writing.
func (t *Task) extras() *extra {
	if t.extra == nil {
		t.extra = new(extra)
	}
	return t.extra
}

// place is where a manager keeps a task.
type place uint8

const (
	nowhere   place = iota // not accepted yet, refused, or done
	queued                 // waits for its turn or for a slot
	skipped                // was cancelled while it waited, and waits to pass the chain
	dequeued               // was cancelled while it waited, and passes the chain without a slot
	holdsSlot              // runs, or is about to
)

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// NewTask returns a task that no manager knows: for tests of middlewares, and for engines
// other than [Manager]. Its ID is 0, and it never starts or ends. Cancel only makes
// [Task.OutcomeOf] say so.
func NewTask(name string, opts ...TaskOption) *Task {
	return newTask(name, nil, opts)
}

func newTask(name string, defaults, opts []TaskOption) *Task {
	if name == "" {
		name = "background_task"
	}
	t := &Task{name: name, created: time.Now()}
	t.options.apply(defaults)
	t.options.apply(opts)
	return t
}

// ID returns the task's number, counted from 1 by its manager in the order of acceptance.
// It is 0 for a refused task and for one made by [NewTask].
func (t *Task) ID() uint64 { return t.id }

// Name returns the name given to [Manager.Go], or "background_task" where that was empty.
func (t *Task) Name() string { return t.name }

// Attrs returns a copy of the task's attributes. Values that are a [slog.LogValuer] are not
// resolved: call Resolve on each before reading it.
func (t *Task) Attrs() []slog.Attr { return slices.Clone(t.options.attrs) }

// Timeout returns how long the run may take, or 0 for no limit.
func (t *Task) Timeout() time.Duration { return t.options.timeout }

// CreatedAt returns when the task was accepted, with a monotonic reading.
func (t *Task) CreatedAt() time.Time { return t.created }

// StartedAt returns when the run started, with a monotonic reading. It is zero before that:
// while the task is queued.
func (t *Task) StartedAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.started {
		return time.Time{}
	}
	return t.created.Add(t.waited)
}

// Done returns a channel that is closed when the task has ended: after Err and Outcome are
// set, after the chain has returned. For a refused task it is closed from the beginning.
func (t *Task) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		if t.outcome != Pending {
			t.done = closedChan
		} else {
			t.done = make(chan struct{})
		}
	}
	return t.done
}

// Err returns the task's error: nil until it is done and where it completed, else what the chain
// returned, a [*PanicError] or [ErrGoexit]; for a refused task [ErrClosed] or [ErrFull];
// for one that was cancelled while queued [ErrCancelled] or [ErrShutdown].
func (t *Task) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Outcome returns how the task ended, or [Pending] until it has.
func (t *Task) Outcome() Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.outcome
}

// Wait waits for the end of the task, and returns its error; or ctx's error, if ctx is done
// before: the task goes on then, and its Outcome is still [Pending]. What the task wrote before its end can be
// read without a lock after Wait has returned nil: that is how a result gets out.
func (t *Task) Wait(ctx context.Context) error {
	done := t.Done()
	select {
	case <-done:
		return t.Err()
	default:
	}
	select {
	case <-done:
		return t.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Cancel cancels the task's context with [ErrCancelled] as its cause, and does not wait.
// A queued task ends without its Func being called. One that is done stays as it is.
func (t *Task) Cancel() {
	if sh := t.shard; sh != nil {
		sh.mu.Lock()
		sh.cancelLocked(t, ErrCancelled)
		sh.unlock()
	}
	t.cancel(ErrCancelled)
}

// String returns the task's name and id.
func (t *Task) String() string { return fmt.Sprintf("%s#%d", t.name, t.id) }

// cancel cancels the context, now or as soon as there is one.
func (t *Task) cancel(cause error) {
	t.mu.Lock()
	runs := t.started && t.outcome == Pending
	if !t.started && t.more().early == nil {
		t.extras().early = cause
	}
	t.mu.Unlock()
	if runs {
		t.context().standard().cancel(cause)
	}
}

// start begins the run: the timeout counts from here.
func (t *Task) start() {
	t.mu.Lock()
	t.waited = time.Since(t.created)
	t.started = true
	early := t.more().early
	t.mu.Unlock()

	if early != nil || t.linked || plain {
		t.context().standard()
	}
}

// skipFor makes a cancelled task that has not started skip its Func.
func (t *Task) skipFor(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.extras()
	if !t.skips {
		t.skips, e.skip = true, cause
	}
	if e.early == nil {
		e.early = cause
	}
}

// failSpawn makes a task skip its Func since a Spawn did not return. That counts more than a cancel meanwhile.
func (t *Task) failSpawn(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skips, t.extras().skip = true, err
}

// skipCause returns what the chain gets instead of a call of the Func.
func (t *Task) skipCause() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.more().skip
}

// earlyCause returns the cause of a cancel that came before the start, or nil.
func (t *Task) earlyCause() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.more().early
}

// settle ends the task.
func (t *Task) settle(outcome Outcome, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcome, t.err = outcome, err
	t.fn, t.innermost = nil, nil // the handle may be kept for long, what they refer to need not be
	if t.done != nil {
		close(t.done)
	}
}

// logContext returns the context to log the task with: the innermost there is. Before the start there is
// none yet that others may look at.
func (t *Task) logContext() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.innermost != nil:
		return t.innermost
	case t.started:
		return t.context()
	default:
		return context.Background()
	}
}
