package core

import (
	"fmt"
	"log/slog"
	"time"
)

// An Option configures a manager. It is given to [New]. A nil one does nothing.
type Option func(*config)

// config is what the options of a manager set.
type config struct {
	middleware      []Middleware
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

// WithMiddleware puts mw into the chain that every task passes. The first is the outermost:
// its Spawn is called first, and its Handler calls those of the others. Repeated options
// append. The default is no middleware. A nil one panics.
func WithMiddleware(mw ...Middleware) Option {
	for i, one := range mw {
		if f, isFunc := one.(MiddlewareFunc); one == nil || isFunc && f == nil {
			panic(fmt.Sprintf("core: WithMiddleware: argument %d is nil", i))
		}
	}
	return func(c *config) { c.middleware = append(c.middleware, mw...) }
}

// WithLogger sets where the manager logs. The default, also for nil, is [slog.Default] at
// the time of each line.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = l }
}

// WithShutdownTimeout sets how long [Manager.Shutdown] may take where its context has no
// deadline, and [Manager.Close] always. The default is 30 s; 0 or less is no time at all.
func WithShutdownTimeout(d time.Duration) Option {
	return func(c *config) { c.shutdownTimeout = max(d, 0) }
}

// WithCancelGrace sets how long before its bound [Manager.Shutdown] stops draining and
// cancels what is left, which then has that long to end. It is never more than half of the
// time that Shutdown has. The default is 5 s; with 0 or less it drains to the very end.
func WithCancelGrace(d time.Duration) Option {
	return func(c *config) { c.cancelGrace = max(d, 0) }
}

// WithLimit limits how many tasks run at a time, and how many more may wait. Waiting tasks
// hold no goroutine and start in the order in which they came, those of a [Serial] in that in which their turns came.
//
// running <= 0 is no limit, which is the default. queued is 0 for none and < 0 for any number. What finds
// no room is refused with [ErrFull], or waits for it [WithBlocking].
func WithLimit(running, queued int) Option {
	return func(c *config) { c.maxRunning, c.maxQueued = running, queued }
}

// WithBlocking makes [Manager.Go] wait for room where the limit is reached, until its ctx is done.
// Go called with the context of a task of the same manager never waits, since it could be waiting
// for the very room that its caller holds: it is refused with [ErrFull]. A Spawn, or a log handler, must not call Go
// of its own full manager for the same reason, and cannot be told apart. The default is not to wait.
func WithBlocking() Option {
	return func(c *config) { c.blocking = true }
}

// WithTaskDefaults sets options of every task, applied before its own. Repeated options append.
func WithTaskDefaults(opts ...TaskOption) Option {
	return func(c *config) { c.defaults = append(c.defaults, opts...) }
}

// A TaskOption configures one task. It is given to [Manager.Go]. A nil one does nothing.
type TaskOption func(*taskOptions)

// taskOptions is what the options of a task set.
type taskOptions struct {
	timeout time.Duration
	attrs   []slog.Attr
	turn    *turn // nil: it waits for none
}

func (o *taskOptions) apply(opts []TaskOption) {
	for _, opt := range opts {
		if opt != nil {
			opt(o)
		}
	}
}

// WithTimeout limits how long the run may take, counted from its start. Then the context is
// done, with [context.DeadlineExceeded] as its error and [ErrTimeout] as its cause. A Func that does
// not look at its context goes on. d <= 0 is no limit, which is the default.
func WithTimeout(d time.Duration) TaskOption {
	return func(o *taskOptions) { o.timeout = max(d, 0) }
}

// WithAttrs appends to what the task says of itself in logs, spans and [TaskInfo], such as
// the conversation that it belongs to. The slice is copied, a [slog.LogValuer] in it is not
// resolved until it is read.
func WithAttrs(attrs ...slog.Attr) TaskOption {
	return func(o *taskOptions) { o.attrs = append(o.attrs, attrs...) }
}
