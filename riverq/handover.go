package riverq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/riverqueue/river"

	"github.com/afterspan/afterspan/core"
)

// Handover returns a middleware for a [core.Manager]. It inserts tasks started with [Go] as jobs if
// a shutdown cancels them, running or queued. Another process then does the work. Put Handover
// inside otelmw, so that the spans say so:
//
//	core.New(core.WithMiddleware(otelmw.New(), riverq.Handover(client)))
//
// A task that was handed over has the outcome cancelled, and its error matches
// [core.ErrHandedOver]. It does not count as lost: [core.ShutdownStats].HandedOver counts it. The
// job carries the task's trace and attributes: its span links to the same spawner.
//
// One insert takes many jobs. If it fails because of one of them, the others are inserted all the
// same. Of unique jobs with the same kind and arguments it takes one for all their tasks. While the
// database cannot be reached, is starting, stopping or full, or a standby, the insert is tried
// again until [WithInsertTimeout]. If a connection to PostgreSQL breaks, Handover asks first whether
// the jobs are there. When time is over, the tasks count as lost, although their jobs may be there.
// A lost task's error says why, and the shutdown names it. A task that was interrupted runs again
// from its beginning: like that of every job, its work must be safe to do twice.
//
// A task that ignores its context is named as remaining at the end of the shutdown. It is handed
// over if it still returns an error after that, and the process is there. Handover does nothing for
// one that panicked or timed out. It also makes a job of a task with [core.UntilShutdown]: do not
// start loops with Go.
//
// The queue, the priority and the attempts of the job come from the InsertOpts method of args, or
// else from the client. Values of the task's context are not kept: River's hooks and middlewares of
// inserts do not see them, and neither does the worker. The order of a [core.Keyed] is not kept
// either.
//
// The client only inserts. It needs no queues and no workers, and must be usable until the manager
// has shut down. If it has a [Plugin], the plugin leaves these jobs alone. The first insert is that
// of the first shutdown: to notice a database without River's tables before that, call the client's
// JobList when the program starts.
func Handover(client Inserter, opts ...Option) core.Middleware {
	if v := reflect.ValueOf(client); client == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		panic("afterspan: riverq.Handover: client is nil")
	}
	h := &handover{
		options: newOptions("Handover", opts, "WithInsertTimeout", "WithRefused"),
		batcher: newBatcher(client),
	}
	mw := core.Middleware{Spawn: h.onSpawn, Wrap: h.wrap}
	if h.refused {
		mw.Refused = h.onRefused
	}
	return mw
}

type handover struct {
	options
	batcher *batcher
}

// onSpawn is the Spawn hook. It claims the arguments before a sub-task can.
func (h *handover) onSpawn(ctx context.Context, t *core.Task) context.Context {
	_ = claimOf(ctx, t)
	return ctx
}

// wrap is the Wrap hook. After the insert, a retry outside does not run the task again: it is the
// job's now.
func (h *handover) wrap(next core.Handler) core.Handler {
	return func(ctx context.Context, t *core.Task) error {
		c := claimOf(ctx, t)
		if c == nil {
			return next(ctx, t)
		}
		if c.inserted.Load() {
			return core.ErrHandedOver
		}
		err := next(ctx, t)
		if c.inserted.Load() { // by another Handover
			return err
		}
		if t.OutcomeOf(err) != core.Cancelled || t.CauseOf(err) != "shutdown" {
			return err
		}
		if failed := h.insert(ctx, t, c); failed != nil {
			return fmt.Errorf("%w; it was not handed over: %w", err, failed)
		}
		return fmt.Errorf("%w: %w", core.ErrHandedOver, err)
	}
}

// onRefused is the Refused hook. It inserts the job as the caller of Go would have done.
func (h *handover) onRefused(ctx context.Context, t *core.Task) {
	if !errors.Is(t.Err(), core.ErrFull) && !errors.Is(t.Err(), core.ErrClosed) {
		return
	}
	c := claimOf(ctx, t)
	if c == nil {
		return
	}
	inserting, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.insertTimeout)
	defer cancel()
	inserting = core.ContextWithAttrs(inserting, t.Attrs()...)
	if _, err := h.batcher.client.InsertMany(inserting, []river.InsertManyParams{{Args: c.args}}); err != nil {
		h.log().LogAttrs(ctx, slog.LevelError, "refused background task was not handed over",
			append(about(t), slog.Any("error", err))...)
		return
	}
	h.log().LogAttrs(ctx, slog.LevelDebug, "refused background task handed over", about(t)...)
}

// about returns what log lines of a manager have about t.
func about(t *core.Task) []slog.Attr {
	return append([]slog.Attr{slog.Group("task", "name", t.Name())}, t.Attrs()...)
}

// insert inserts t as a job, with its trace. ctx is that of its run, and cancelled.
func (h *handover) insert(ctx context.Context, t *core.Task, c *claim) error {
	opts := &river.InsertOpts{Metadata: h.inject(ctx, t, nil)}
	err := h.batcher.insert(river.InsertManyParams{Args: c.args, InsertOpts: opts}, h.insertTimeout)
	c.inserted.Store(err == nil)
	return err
}

type handoverKey struct{}

// withHandover marks inserts by Handover, whose jobs carry their trace already.
func withHandover(ctx context.Context) context.Context {
	return context.WithValue(ctx, handoverKey{}, true)
}

func isHandover(ctx context.Context) bool { return ctx.Value(handoverKey{}) != nil }
