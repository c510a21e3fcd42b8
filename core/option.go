package core

import (
	"log/slog"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// An Option configures a manager. Pass it to [New]. A nil Option does nothing.
type Option func(*config)

// config holds what the options of a manager set.
type config struct {
	middleware []Middleware

	// The hooks of middleware that are not nil, in order.
	spawns     []spawnHook
	refuseds   []hook
	endeds     []hook
	abandoneds []hook
	enqueueds  []hook

	logger          *slog.Logger
	shutdownTimeout time.Duration
	cancelGrace     time.Duration
	maxRunning      int // <= 0: no limit
	maxQueued       int // < 0: no limit
	blocking        bool
	defaults        []TaskOption
}

func newConfig(opts []Option) config {
	c := config{
		shutdownTimeout: 30 * time.Second,
		cancelGrace:     5 * time.Second,
	}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return c
}

// WithMiddleware appends mw to the chain. The first middleware is the outermost: its Handler wraps
// those of the others, and its hooks are called first. The default is no middleware.
func WithMiddleware(mw ...Middleware) Option {
	return func(c *config) {
		for _, one := range mw {
			c.middleware = append(c.middleware, one)
			c.spawns = appendHook(c.spawns, one.Spawn)
			c.refuseds = appendHook(c.refuseds, one.Refused)
			c.endeds = appendHook(c.endeds, one.Ended)
			c.abandoneds = appendHook(c.abandoneds, one.Abandoned)
			c.enqueueds = appendHook(c.enqueueds, one.Enqueued)
		}
	}
}

func appendHook[H hook | spawnHook](hooks []H, h H) []H {
	if h == nil {
		return hooks
	}
	return append(hooks, h)
}

// WithLogger sets the logger. Without it, or with nil, each line goes to [slog.Default].
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = l }
}

// WithShutdownTimeout sets how long [Manager.Shutdown] may take if its context has no deadline, and
// how long [Manager.Close] may take. The default is 30 s. With 0 or less they do not wait.
func WithShutdownTimeout(d time.Duration) Option {
	return func(c *config) { c.shutdownTimeout = max(d, 0) }
}

// WithCancelGrace sets how long before its deadline [Manager.Shutdown] cancels the tasks that are
// left. They have that time to end. The grace is at most half of Shutdown's time. The default is
// 5 s. With 0 or less Shutdown drains until the deadline.
func WithCancelGrace(d time.Duration) Option {
	return func(c *config) { c.cancelGrace = max(d, 0) }
}

// WithLimit limits how many tasks run at a time, and how many more may be queued. A queued task
// holds no goroutine. Queued tasks start in order; a task [WithKey] takes its place in that order
// when its turn comes.
//
// running <= 0 means no limit, the default. queued is 0 for no queue and < 0 for an unlimited one.
// A task without room is refused with [ErrFull]. With [WithBlocking], Go waits for room instead.
//
// A task that starts another task in the same manager and waits for it keeps its slot meanwhile. If
// such tasks hold all slots, no inner task starts until an outer one times out or is cancelled.
// [Task.Wait] logs a warning then. Use a second manager for the inner tasks, or do not wait.
func WithLimit(running, queued int) Option {
	return func(c *config) { c.maxRunning, c.maxQueued = running, queued }
}

// WithBlocking makes [Manager.Go] wait for room until its ctx is done. If ctx is done first, the
// task is refused with an error that matches both [ErrFull] and ctx's error. The default is not to
// wait.
//
// Go never waits if ctx comes from a task of the same manager, directly or through other tasks,
// even if that task has ended: Go could wait for room that a task above it holds. The new task is
// refused with [ErrFull].
//
// Three cases are not detected. Go called from a Spawn or a log handler of a full manager waits until
// ctx is done, and so does [Group.Go] called from a task of the group. And two full managers whose
// tasks start tasks in each other can wait for each other. Give Go a ctx with a deadline in such
// programs.
func WithBlocking() Option {
	return func(c *config) { c.blocking = true }
}

// WithTaskDefaults sets options for every task. They are applied before the task's own. Repeated
// options append.
func WithTaskDefaults(opts ...TaskOption) Option {
	return func(c *config) { c.defaults = append(c.defaults, opts...) }
}

// A TaskOption configures one task. Pass it to [Manager.Go], [Group.Go], [NewTask] or [NewAttempt].
// A nil TaskOption does nothing.
type TaskOption func(*taskOptions)

// taskOptions holds what the options of a task set.
type taskOptions struct {
	timeout       time.Duration
	attrs         []slog.Attr
	key           *sched.Key
	group         *Group
	blocking      bool // Go waits for room of the key
	attached      bool
	untilShutdown bool
	attempt       int32 // of an engine; 0: the first
}

func (o *taskOptions) apply(opts []TaskOption) {
	for _, opt := range opts {
		if opt != nil {
			opt(o)
		}
	}
}

// WithTimeout limits how long the run may take, counted from its start. After that time the context
// is done, with [context.DeadlineExceeded] as its error and [ErrTimeout] as its cause. A Func that
// ignores its context keeps running. d <= 0 means no limit, the default.
func WithTimeout(d time.Duration) TaskOption {
	return func(o *taskOptions) { o.timeout = max(d, 0) }
}

// UntilShutdown cancels the task, with [ErrShutdown] as the cause, when a shutdown begins instead
// of after the drain. Use it for loops and pollers, which never end by themselves. Such a task does
// not count as lost: if only such tasks were cancelled, the status of the shutdown is "completed".
func UntilShutdown() TaskOption {
	return func(o *taskOptions) { o.untilShutdown = true }
}

// Attached cancels the task when the context given to Go is done, whether it is running or queued.
// The cause is the cause of that context, and an error that the task returns after that counts as
// [Cancelled]. By default a task outlives the context.
func Attached() TaskOption {
	return func(o *taskOptions) { o.attached = true }
}

// Keyed runs tasks with the same key one after another, in the order of acceptance: for example the
// tasks of one conversation. Tasks with different keys run side by side. A task that waits for its
// turn holds no goroutine, can be cancelled, and still runs while a Shutdown drains.
//
// The zero value is ready for use. Pass it to [WithKey], and do not change its fields after that. A
// Keyed may serve several managers; each orders and counts its own tasks.
//
// A task must not wait for a later task with its own key: that one starts only when the first has
// ended. Only Funcs run in order: the middlewares of a task cancelled in the queue run at once.
type Keyed struct {
	// Running is how many tasks of one key may run at a time; 0 or less is one. With more than one,
	// tasks start in order and may end in any order.
	Running int
	// PerKey bounds the unfinished tasks of one key, running and queued together. Total bounds
	// those of all keys of the Keyed. 0 or less is no bound. A task without room is refused with an
	// error that matches [ErrFull] and names the bound. On a manager with a limit, tasks that wait
	// for their turn also count against its queue.
	PerKey, Total int
	// Blocking makes [Manager.Go] wait for room, as [WithBlocking] does for all tasks of a manager.
	Blocking bool
}

// WithKey queues the task behind earlier unfinished tasks with the same key of the same k. It
// starts once fewer than k.Running of them (one, if that is 0 or less) have a slot or wait for one,
// and the manager has a slot. The last WithKey counts. Without WithKey a task has no key. A nil k
// panics.
func WithKey(k *Keyed, key string) TaskOption {
	if k == nil {
		panic("afterspan: WithKey: the Keyed is nil")
	}
	return func(o *taskOptions) {
		o.blocking = k.Blocking
		o.key = &sched.Key{Set: k, Name: key, Running: k.Running, PerKey: k.PerKey, Total: k.Total}
	}
}
