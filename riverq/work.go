package riverq

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/tidwall/gjson"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// An attempt is one run of a job. Its context carries it to the hook WorkEnd. River runs all of it
// on one goroutine.
type attempt struct {
	timedOut bool            // River's timeout had passed when the worker returned
	ctx      context.Context // of the worker's latest call
}

type attemptKey struct{}

// Work implements [rivertype.WorkerMiddleware]: it runs the chain around the job.
func (p *Plugin) Work(ctx context.Context, job *rivertype.JobRow, doInner func(context.Context) error) error {
	a := &attempt{ctx: ctx}
	t := newTask(job)
	run := context.WithValue(p.extract(ctx, job.Metadata), attemptKey{}, a)
	err := p.chain.Run(run, t, func(inner context.Context) error {
		a.timedOut, a.ctx = false, inner
		err := doInner(inner)
		noteSnooze(inner, err)
		return a.judge(ctx, err) // by River's context, as River does
	})
	if panicked, ok := t.PanicOf(err); ok {
		p.panicAgain(a.ctx, job, panicked)
	}
	return withoutVerdict(err)
}

// WorkEnd implements [rivertype.HookWorkEnd]. River's timeout covers the worker and this hook, but
// not Work.
func (p *Plugin) WorkEnd(ctx context.Context, _ *rivertype.JobRow, err error) error {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.timedOut = err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded)
	}
	return err
}

// noteSnooze tells, in the span of ctx, a job that was snoozed from one that was cancelled.
func noteSnooze(ctx context.Context, err error) {
	if snooze, ok := errors.AsType[*rivertype.JobSnoozeError](err); ok {
		trace.SpanFromContext(ctx).SetAttributes(attribute.Float64("river.snoozed", snooze.Duration.Seconds()))
	}
}

// panicAgain lets River see the panic, so that it records it and calls HandlePanic as it would
// without the chain. River's stack trace then starts here, so the original stack is logged.
func (p *Plugin) panicAgain(ctx context.Context, job *rivertype.JobRow, panicked *core.PanicError) {
	p.log().ErrorContext(ctx, "job panicked", slog.Int64("job_id", job.ID), slog.String("kind", job.Kind),
		slog.Any("error", panicked), slog.String("stack", string(panicked.Stack)))
	panic(panicked.Value)
}

// withoutVerdict returns the error as the job returned it, if no middleware has wrapped it.
func withoutVerdict(err error) error {
	if v, ok := err.(*verdict); ok {
		return v.error
	}
	return err
}

// riverGroup is the group of attributes about the job.
const riverGroup = "river"

// newTask returns the task of one attempt at job. It has the attributes about the job in the group
// river, and those of the insert. The group is the first, so that a limit of the span does not drop
// it.
func newTask(job *rivertype.JobRow) *core.Task {
	about := []any{
		slog.String("queue", job.Queue),
		slog.Int("priority", job.Priority),
		slog.Int("max_attempts", job.MaxAttempts),
		slog.Float64("since_insert", max(time.Since(job.CreatedAt), 0).Seconds()),
	}
	if job.Attempt >= job.MaxAttempts {
		about = append(about, slog.Bool("last_attempt", true)) // if it fails, River discards the job
	}
	if rescues := gjson.GetBytes(job.Metadata, "river:rescue_count").Int(); rescues > 0 {
		about = append(about, slog.Int64("rescues", rescues))
	}
	attrs := []slog.Attr{slog.Group(riverGroup, about...)}
	return core.NewAttempt(
		core.Attempt{Name: job.Kind, ID: uint64(job.ID), Number: job.Attempt, QueuedAt: job.ScheduledAt},
		core.WithAttrs(append(attrs, storedAttrs(job.Metadata)...)...))
}
