package riverq

import (
	"context"
	"errors"
	"log/slog"

	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// errNotInserted is the error of tasks whose insert called runtime.Goexit, or in a Plugin also
// panicked.
var errNotInserted = errors.New("afterspan: the insert did not return")

// A spawn is a task that stands for jobs which are being inserted: one job, or those of one kind in
// a large batch.
type spawn struct {
	task *core.Task
	ctx  context.Context // what the Spawns returned
	jobs []int           // their places in the batch
}

// InsertMany implements [rivertype.JobInsertMiddleware]. River calls it for every insert, even of a
// single job. Jobs that carry a trace already get the attributes, but no span and no other trace.
func (p *Plugin) InsertMany(
	ctx context.Context,
	jobs []*rivertype.JobInsertParams,
	doInner func(context.Context) ([]*rivertype.JobInsertResult, error),
) (results []*rivertype.JobInsertResult, err error) {
	spawns := p.spawn(ctx, jobs)
	returned := false
	defer func() {
		if !returned {
			err = errNotInserted
		}
		p.settle(spawns, results, err)
	}()
	results, err = doInner(ctx)
	returned = true
	return results, err
}

// spawn calls the Spawns for jobs, and stores the traces in the metadata of the jobs.
func (p *Plugin) spawn(ctx context.Context, jobs []*rivertype.JobInsertParams) []*spawn {
	spawns := p.group(ctx, jobs)
	for _, s := range spawns {
		ctx := ctx
		if isPeriodic(jobs[s.jobs[0]].Metadata) { // so are the other jobs of this insert, which is River's own
			ctx = withoutSpan(ctx)
		}
		spawned, err := p.chain.Spawn(ctx, s.task)
		s.ctx = spawned
		if err != nil { // the job is worth more than its trace
			p.log().ErrorContext(ctx, "a middleware failed as a job was inserted",
				slog.String("kind", s.task.Name()), slog.Any("error", err))
			continue
		}
		for _, i := range s.jobs {
			jobs[i].Metadata = p.inject(spawned, s.task, jobs[i].Metadata)
		}
	}
	return spawns
}

// group makes a task for each job, or for each kind if there are too many jobs. Jobs that carry a
// trace get none, only the attributes of ctx.
func (p *Plugin) group(ctx context.Context, jobs []*rivertype.JobInsertParams) (spawns []*spawn) {
	shares := len(jobs) > p.batchSpawns
	ofKind := make(map[string]*spawn)
	for i, job := range jobs {
		if isHandover(ctx) {
			continue
		}
		if hasTrace(job.Metadata) {
			job.Metadata = addAttrsOf(ctx, job.Metadata)
			continue
		}
		s := ofKind[job.Kind]
		if s == nil || !shares {
			s = &spawn{task: core.NewTask(job.Kind)}
			ofKind[job.Kind] = s
			spawns = append(spawns, s)
		}
		s.jobs = append(s.jobs, i)
	}
	return spawns
}

// settle tells the chain what became of the inserts.
func (p *Plugin) settle(spawns []*spawn, results []*rivertype.JobInsertResult, err error) {
	for _, s := range spawns {
		if err != nil {
			p.chain.Refused(s.ctx, s.task, err)
			continue
		}
		for _, i := range s.jobs {
			if i < len(results) && results[i] != nil && results[i].UniqueSkippedAsDuplicate {
				noteDuplicate(s.ctx, results[i].Job)
			}
		}
		p.chain.Enqueued(s.ctx, s.task, s.id(results))
	}
}

// noteDuplicate adds an event to the span that inserted a unique job that already existed. It is
// no refusal, and no alarm: the work will be done. But no job links to that span.
func noteDuplicate(ctx context.Context, job *rivertype.JobRow) {
	trace.SpanFromContext(ctx).AddEvent("job skipped as duplicate", trace.WithAttributes(
		attribute.String("river.kind", job.Kind), attribute.Int64("river.job_id", job.ID)))
}

// id returns the ID of the job that s stands for, or 0 if they are several.
func (s *spawn) id(results []*rivertype.JobInsertResult) uint64 {
	if len(s.jobs) != 1 {
		return 0
	}
	i := s.jobs[0]
	if i >= len(results) || results[i] == nil || results[i].Job == nil {
		return 0
	}
	return uint64(results[i].Job.ID)
}
