package riverq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/riverqueue/river"
	"go.opentelemetry.io/otel/propagation"

	"github.com/afterspan/afterspan/core"
)

// Handover returns a middleware for a [core.Manager]. It inserts tasks started with [Go] as jobs if a
// shutdown cancels them, while they run or in the queue. Another process then does the work. Put it
// inside otelmw, so that the spans say so:
//
//	core.New(core.WithMiddleware(otelmw.New(), riverq.Handover(client)))
//
// A task that was handed over is cancelled, and its error matches [core.ErrHandedOver]. It does not
// count as lost, and [core.ShutdownStats] has the number. The job carries the task's trace and attributes:
// its span links to the same spawner.
//
// If the insert fails, the task is lost, its error says why, and the shutdown names it. If the answer of
// the database is lost, the job may be there all the same. A task that was interrupted runs again from its
// beginning: like every job, its work must be fit to be done twice.
//
// Handover does nothing for a task that ignores its context: it is named as remaining at the end of
// the shutdown. Nor for one that panicked, or ended by its own timeout. It makes a job also of a task
// that is [core.UntilShutdown]: do not start loops with Go.
//
// The client only inserts. It needs no queues and no workers, and must not be closed before the
// manager has shut down.
func Handover(client Inserter, opts ...Option) core.Middleware {
	if client == nil {
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
	_, _ = argsOf(ctx, t)
	return ctx
}

// wrap is the Wrap hook.
func (h *handover) wrap(next core.Handler) core.Handler {
	return func(ctx context.Context, t *core.Task) error {
		err := next(ctx, t)
		if t.OutcomeOf(err) != core.Cancelled || t.CauseOf(err) != "shutdown" {
			return err
		}
		args, ok := argsOf(ctx, t)
		if !ok {
			return err
		}
		if failed := h.insert(ctx, t, args, nil); failed != nil {
			return fmt.Errorf("%w; it was not handed over: %w", err, failed)
		}
		return fmt.Errorf("%w: %w", core.ErrHandedOver, err)
	}
}

// onRefused is the Refused hook.
func (h *handover) onRefused(ctx context.Context, t *core.Task) {
	if !errors.Is(t.Err(), core.ErrFull) && !errors.Is(t.Err(), core.ErrClosed) {
		return
	}
	args, ok := argsOf(ctx, t)
	if !ok {
		return
	}
	if err := h.insert(ctx, t, args, spawnerOf(ctx)); err != nil {
		h.log().ErrorContext(ctx, "refused background task was not handed over",
			slog.String("name", t.Name()), slog.Any("error", err))
		return
	}
	h.log().DebugContext(ctx, "refused background task handed over", slog.String("name", t.Name()))
}

// insert inserts t as a job, with its trace. ctx may be cancelled. What is in trace goes first.
func (h *handover) insert(ctx context.Context, t *core.Task, args river.JobArgs, trace propagation.MapCarrier) error {
	metadata := &carrier{h.inject(ctx, t, nil)}
	for key, value := range trace {
		metadata.Set(key, value)
	}
	job := river.InsertManyParams{Args: args, InsertOpts: &river.InsertOpts{Metadata: metadata.json}}
	return h.batcher.insert(job, h.insertTimeout)
}

// spawnerOf returns the current span of ctx. A refused task has no Spawn, so [otelmw.Inject] finds in
// ctx what the span of an outer task links to.
func spawnerOf(ctx context.Context) propagation.MapCarrier {
	spawner := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, spawner)
	return spawner
}
