package riverq

import (
	"context"
	"sync/atomic"

	"github.com/riverqueue/river"

	"github.com/afterspan/afterspan/core"
)

// Go starts fn with args as a task of m, as [core.Manager.Go] does. The task's name is the kind of
// args. [Handover] can make a job of it, since args have all that fn needs: the worker of
// that kind is WorkFunc(fn).
//
// args are encoded as JSON when the task is handed over. fn must not change what they refer to.
func Go[T river.JobArgs](
	ctx context.Context, m *core.Manager, args T, fn func(context.Context, T) error, opts ...core.TaskOption,
) *core.Task {
	switch {
	case ctx == nil:
		panic("afterspan: riverq.Go: ctx is nil")
	case m == nil:
		panic("afterspan: riverq.Go: the Manager is nil")
	case fn == nil:
		panic("afterspan: riverq.Go: fn is nil")
	}
	ctx = context.WithValue(ctx, claimKey{}, &claim{args: args})
	run := func(ctx context.Context) error { return fn(withoutClaim(ctx), args) }
	return m.Go(ctx, args.Kind(), run, opts...)
}

// WorkFunc returns a worker that calls fn with the arguments of the job. Its timeout and its
// retries are those of the client. To set them, embed it:
//
//	type receiptWorker struct{ river.Worker[ReceiptArgs] }
//
//	func (receiptWorker) Timeout(*river.Job[ReceiptArgs]) time.Duration { return 3 * time.Second }
//
//	river.AddWorker(workers, receiptWorker{riverq.WorkFunc(sendReceipt)})
func WorkFunc[T river.JobArgs](fn func(context.Context, T) error) river.Worker[T] {
	if fn == nil {
		panic("afterspan: riverq.WorkFunc: fn is nil")
	}
	return river.WorkFunc(func(ctx context.Context, job *river.Job[T]) error { return fn(ctx, job.Args) })
}

// A claim carries the arguments of a task from Go to Handover, in the context. fn does not see it.
// A middleware does, and can start tasks with that context, so the first task claims it.
type claim struct {
	args     river.JobArgs
	task     atomic.Pointer[core.Task]
	inserted atomic.Bool
}

type claimKey struct{}

// withoutClaim hides the claim of ctx, so that tasks of any manager that fn starts do not inherit
// it.
func withoutClaim(ctx context.Context) context.Context {
	return context.WithValue(ctx, claimKey{}, (*claim)(nil))
}

// claimOf returns the claim of t if Go started it, else nil.
func claimOf(ctx context.Context, t *core.Task) *claim {
	c, _ := ctx.Value(claimKey{}).(*claim)
	if c == nil || !c.task.CompareAndSwap(nil, t) && c.task.Load() != t {
		return nil
	}
	return c
}
