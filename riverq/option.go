package riverq

import (
	"log/slog"
	"slices"
	"time"

	"github.com/afterspan/afterspan/core"
)

// An Option configures a [Plugin] or [Handover]. The documentation of each says which. A nil option
// does nothing.
type Option func(*options)

type options struct {
	middlewares   []core.Middleware
	batchSpawns   int
	baggage       bool
	insertTimeout time.Duration
	refused       bool
	logger        *slog.Logger

	given []string // the given options that only one of New and Handover takes
}

// WithMiddleware adds middlewares to the chain around each job. The first is the outermost, as in
// [core.WithMiddleware]. Repeated options append. For New.
func WithMiddleware(mw ...core.Middleware) Option {
	return func(o *options) {
		o.note("WithMiddleware")
		o.middlewares = append(o.middlewares, mw...)
	}
}

// WithBatchSpawns sets how many jobs a batch may have for each job to get a Spawn, and so a span,
// of its own. In a larger batch, all jobs of one kind share a Spawn. The default is 100; 0 or less
// means that they always share. For New.
func WithBatchSpawns(n int) Option {
	return func(o *options) {
		o.note("WithBatchSpawns")
		o.batchSpawns = n
	}
}

// WithBaggage lets OpenTelemetry baggage travel with the jobs: it is stored in their metadata, and
// restored for their run. By default it does not travel, because everybody who may read the
// database can read it there. For New, where it covers both the insert and the run, and for
// Handover.
func WithBaggage() Option {
	return func(o *options) { o.baggage = true }
}

// WithInsertTimeout sets how long an insert by [Handover] may take, counted from the moment at
// which the task is handed over. The default is 4 s. Keep it below the time that a shutdown has
// left after it has cancelled the tasks: that is [core.WithCancelGrace], 5 s by default, but at
// most half of the time that Shutdown is given. For Handover.
func WithInsertTimeout(d time.Duration) Option {
	return func(o *options) {
		o.note("WithInsertTimeout")
		o.insertTimeout = d
	}
}

// WithRefused makes [Handover] also insert tasks that the manager refused because it was full or
// closed. [Go] then waits for the insert before it returns: at most for [WithInsertTimeout], also
// after its context is done. It is the same insert that the caller
// could have made instead: the client's [Plugin] gives the job its trace. The task still counts as
// refused. Its error is [core.ErrFull] or [core.ErrClosed], and it is logged and counted as such.
// For Handover.
func WithRefused() Option {
	return func(o *options) {
		o.note("WithRefused")
		o.refused = true
	}
}

// WithLogger sets the logger. The plugin logs the stack of a panic, and Handover a refused task
// that it could not insert, both at ERROR; at DEBUG Handover logs refused tasks that it inserted.
// The default is [slog.Default] at the time of the line. For New and Handover.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) { o.logger = l }
}

func (o *options) note(name string) { o.given = append(o.given, name) }

// newOptions applies opts. It panics if one of them is not among those that caller takes.
func newOptions(caller string, opts []Option, takes ...string) options {
	o := options{batchSpawns: 100, insertTimeout: 4 * time.Second}
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	for _, name := range o.given {
		if !slices.Contains(takes, name) {
			panic("afterspan: riverq." + caller + ": it does not take " + name)
		}
	}
	return o
}

func (o *options) log() *slog.Logger {
	if o.logger != nil {
		return o.logger
	}
	return slog.Default()
}
