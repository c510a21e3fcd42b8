package core

import (
	"context"
	"log/slog"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// An Option configures a manager. It is given to [New]. A nil Option does nothing.
type Option func(*config)

// config holds what the options of a manager set.
type config struct {
	middleware      []Middleware
	spawns          []spawnHook // those of middleware that are not nil; so are the next three
	refuseds        []hook
	endeds          []hook
	abandoneds      []hook
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

// WithMiddleware puts mw into the chain that every task passes. The first is the outermost: its
// Spawn is called first, and its Handler calls those of the others. Its other hooks are called
// first, too. Repeated options append. The default is no middleware.
func WithMiddleware(mw ...Middleware) Option {
	return func(c *config) {
		for _, one := range mw {
			c.middleware = append(c.middleware, one)
			c.spawns = appendHook(c.spawns, one.Spawn)
			c.refuseds = appendHook(c.refuseds, one.Refused)
			c.endeds = appendHook(c.endeds, one.Ended)
			c.abandoneds = appendHook(c.abandoneds, one.Abandoned)
		}
	}
}

func appendHook[H hook | spawnHook](hooks []H, h H) []H {
	if h == nil {
		return hooks
	}
	return append(hooks, h)
}

// WithLogger sets where the manager logs. The default, also for nil, is [slog.Default] at the time
// of each line.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = l }
}

// WithShutdownTimeout sets how long [Manager.Shutdown] may take where its context has no deadline,
// and how long [Manager.Close] may take. The default is 30 s; 0 or less is no time at all.
func WithShutdownTimeout(d time.Duration) Option {
	return func(c *config) { c.shutdownTimeout = max(d, 0) }
}

// WithCancelGrace sets how long before its bound [Manager.Shutdown] stops draining and cancels what
// is left, which then has that long to end. It is at most half of the time that Shutdown has. The
// default is 5 s; with 0 or less Shutdown drains to the very end.
func WithCancelGrace(d time.Duration) Option {
	return func(c *config) { c.cancelGrace = max(d, 0) }
}

// WithLimit limits how many tasks run at a time, and how many more may wait. Waiting tasks hold no
// goroutine and start in order; a task [WithKey] joins the order when its turn comes.
//
// running <= 0 is no limit, the default. queued is 0 for none and < 0 for any number. A task
// without room is refused with [ErrFull], or Go waits for room [WithBlocking].
//
// A task that starts another one in its own limited manager and waits for it holds its slot
// meanwhile. With enough of them all slots are held by tasks that wait, and none of them ends
// before its timeout. [Task.Wait] logs that at WARN. Use a second manager for the inner tasks, or
// do not wait.
func WithLimit(running, queued int) Option {
	return func(c *config) { c.maxRunning, c.maxQueued = running, queued }
}

// WithBlocking makes [Manager.Go] wait for room where the limit is reached, until its ctx is done.
// The task is then refused with an error that matches both [ErrFull] and ctx's. The default is not
// to wait.
//
// Go never waits if its ctx belongs to a task of the same manager, or to a task that such a task
// started, at any depth and even after they have ended: it could wait for the room that its caller
// holds. The task is refused with [ErrFull].
//
// Go cannot detect a call from a Spawn or a log handler: on a full manager it blocks until ctx is
// done. Nor can it detect two managers whose tasks start tasks in each other: where both are full,
// each may wait for the other, until their ctx is done. Give Go a ctx with a deadline there.
func WithBlocking() Option {
	return func(c *config) { c.blocking = true }
}

// WithTaskDefaults sets options of every task, applied before its own. Repeated options append.
func WithTaskDefaults(opts ...TaskOption) Option {
	return func(c *config) { c.defaults = append(c.defaults, opts...) }
}

// A TaskOption configures one task. It is given to [Manager.Go]. A nil TaskOption does nothing.
type TaskOption func(*taskOptions)

// taskOptions holds what the options of a task set.
type taskOptions struct {
	timeout       time.Duration
	attrs         []slog.Attr
	key           *sched.Key
	group         *Group
	blocking      bool // the Keyed of key is
	attached      bool
	untilShutdown bool
}

func (o *taskOptions) apply(opts []TaskOption) {
	for _, opt := range opts {
		if opt != nil {
			opt(o)
		}
	}
}

// WithTimeout limits how long the run may take, counted from its start. Then the context is done,
// with [context.DeadlineExceeded] as its error and [ErrTimeout] as its cause. A Func that does not
// look at its context goes on. d <= 0 is no limit, the default.
func WithTimeout(d time.Duration) TaskOption {
	return func(o *taskOptions) { o.timeout = max(d, 0) }
}

// UntilShutdown cancels the task as soon as a shutdown begins, with [ErrShutdown] as the cause, not
// at the end of the drain. Use it for loops and pollers, which never end by themselves. Such a task
// does not count as lost: a shutdown that cancelled nothing else is "completed".
func UntilShutdown() TaskOption {
	return func(o *taskOptions) { o.untilShutdown = true }
}

// Attached cancels the task when the context given to Go is done, whether it runs or waits in the
// queue. The cause is that context's, and an error after that is [Cancelled]. The default is a task
// that outlives the context.
func Attached() TaskOption {
	return func(o *taskOptions) { o.attached = true }
}

// Keyed runs the tasks of one key one after another, in the order in which they were accepted: for
// example all that concern one conversation. Tasks of different keys run side by side. A task that
// waits for its turn holds no goroutine, can be cancelled, and is finished by a shutdown that
// drains.
//
// The zero value is ready for use. Give it to tasks with [WithKey], and do not change its fields
// after that. A Keyed may serve several managers; each orders and counts its own tasks.
//
// A task must not wait for a later one with its own key, which starts when the first has ended. The
// order is that of the Funcs: a task cancelled while it waits passes its middlewares at once.
type Keyed struct {
	// Running is how many tasks of one key may run at a time; 0 or less is one. With more than one,
	// tasks only start in order.
	Running int
	// PerKey bounds how many tasks of one key may be unfinished, running and waiting together. Total
	// does so for all keys of the Keyed. 0 or less is no bound. A task without room is refused with an
	// error that matches [ErrFull] and names the bound. On a manager with a limit, tasks that wait for
	// their turn take places in its queue, too.
	PerKey, Total int
	// Blocking makes [Manager.Go] wait for room, as [WithBlocking] does for all tasks of a manager.
	Blocking bool
}

// WithKey queues the task behind earlier tasks with the same key of the same k. It starts once
// fewer than k.Running of them are unfinished. If the option is repeated the last one counts. The
// default is no key. A nil k panics.
func WithKey(k *Keyed, key string) TaskOption {
	if k == nil {
		panic("afterspan: WithKey: the Keyed is nil")
	}
	return func(o *taskOptions) {
		o.blocking = k.Blocking
		o.key = &sched.Key{Set: k, Name: key, Running: k.Running, PerKey: k.PerKey, Total: k.Total}
	}
}

// WithAttrs appends attributes to the task. They are in its log lines, its span, its [TaskInfo] and
// on pages: for example the conversation that it belongs to. The slice is copied. Of two attributes
// with the same key the later one stands: those of [ContextWithAttrs] come first, then the
// manager's defaults, then the task's own.
//
// A [slog.LogValuer] is resolved by each reader, so a secret that redacts itself stays hidden. A
// map, slice or pointer is shared with its owner and may be read at any time until the task is
// forgotten. Do not change it after the call: a map that is written while a log line reads it ends
// the process.
func WithAttrs(attrs ...slog.Attr) TaskOption {
	return func(o *taskOptions) { o.attrs = append(o.attrs, attrs...) }
}

type attrsKey struct{}

// ContextWithAttrs returns a copy of ctx that carries attrs for every task started with it, or with
// a context derived from it, in addition to those that ctx already carries. See [WithAttrs].
func ContextWithAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	before := attrsFrom(ctx)
	return context.WithValue(ctx, attrsKey{}, append(before[:len(before):len(before)], attrs...))
}

func attrsFrom(ctx context.Context) (attrs []slog.Attr) {
	defer contain() // ctx may be the user's code
	attrs, _ = ctx.Value(attrsKey{}).([]slog.Attr)
	return attrs
}
