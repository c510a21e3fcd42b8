package otelmw

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// A spawn records what Spawn learned about a task and its spawner. The later hooks find it in the
// task's context. All that they need of the spawner is in it, since the context of a request may
// belong to another request by the time the task runs.
type spawn struct {
	mw         *middleware
	task       *core.Task // nil: Extract made it, with origin and spanID only
	outer      *spawn     // of the same task, by another of these middlewares in the chain; nil: there is none
	isRecorded bool       // the filters let it pass

	// Set by Spawn and not changed after that. Of a task that gets no spans only origin is set.
	relation       Relation
	name           string            // of the task's span
	spawner        trace.SpanContext // invalid: there is none
	spawnerRecords bool
	traceID        string            // of the spawner
	spanID         string            // of the spawner
	origin         string            // the trace id of the spawner of the outermost task
	link           trace.SpanContext // what the task's span links to; invalid: nothing
	baggage        attributes        // the members that are asked for
	held           *heldSpan         // the span "spawn NAME"; nil: there is none

	attempts atomic.Int64 // runs that have begun
	open     openSpans    // of these runs
}

// spawnKey is the context key of the innermost spawn.
type spawnKey struct{}

// newSpawn returns the spawn of t, where ctx is the spawner's.
func (mw *middleware) newSpawn(ctx context.Context, t *core.Task) *spawn {
	s := &spawn{mw: mw, task: t, isRecorded: mw.records(ctx, t)}
	if s.isRecorded && mw.tracer != nil {
		s.name = mw.spanName(ctx, t)
		s.relation = mw.relationOf(ctx, t)
	}
	mw.readSpawner(ctx, s)
	return s
}

// readSpawner takes down what a span needs of the spawner. The values of ctx may be users' code.
func (mw *middleware) readSpawner(ctx context.Context, s *spawn) {
	defer contain("the context of a spawner")
	outer, ok := ctx.Value(spawnKey{}).(*spawn)
	if ok { // maybe another middleware's, of another manager, or of Extract
		s.origin = outer.origin
		if outer.task == s.task {
			s.outer = outer
		}
	}
	if !s.isRecorded || mw.tracer == nil {
		return
	}
	s.baggage = mw.baggageOf(ctx)
	spawner := trace.SpanFromContext(ctx)
	s.spawner, s.spawnerRecords = spawner.SpanContext(), spawner.IsRecording()
	if !s.spawner.IsValid() {
		return
	}
	s.traceID, s.spanID = hexIDs(s.spawner)
	if ok && outer.task == nil && outer.spanID != "" { // of Extract
		s.spanID = outer.spanID
	}
	if s.origin == "" {
		s.origin = s.traceID
	}
	if s.isLinked() {
		s.link = s.spawner
	}
}

// isLinked reports whether the task's span is a root that links to its spawner.
func (s *spawn) isLinked() bool { return s.relation != Child && s.relation != None }

// baggageOf returns the members of ctx's baggage that WithBaggageKeys asks for.
func (mw *middleware) baggageOf(ctx context.Context) (members attributes) {
	if len(mw.baggageKeys) == 0 {
		return nil
	}
	bag := baggage.FromContext(ctx)
	for _, key := range mw.baggageKeys {
		if m := bag.Member(key); m.Key() != "" {
			members.addForeign(attribute.String(key, m.Value()))
		}
	}
	return members
}

// findSpawn returns the spawn of t, or nil. A task's context has the values of its spawner's, so
// the spawn in it may be that of an outer task.
func (mw *middleware) findSpawn(ctx context.Context, t *core.Task) *spawn {
	s, _ := ctx.Value(spawnKey{}).(*spawn)
	for ; s != nil && s.task == t; s = s.outer {
		if s.mw == mw {
			return s
		}
	}
	return nil
}

// spawnOf returns the spawn of t. If Spawn was not called, as by an engine that runs tasks of another
// process, ctx is the spawner's. It is too late for a span "spawn NAME" then.
func (mw *middleware) spawnOf(ctx context.Context, t *core.Task) (context.Context, *spawn) {
	if s := mw.findSpawn(ctx, t); s != nil {
		return ctx, s
	}
	s := mw.newSpawn(ctx, t)
	return context.WithValue(ctx, spawnKey{}, s), s
}

// queueTime returns how long t waited for its start, or has been waiting if it never started.
func queueTime(t *core.Task) time.Duration {
	if started := t.StartedAt(); !started.IsZero() {
		return max(started.Sub(t.CreatedAt()), 0) // an engine's clock may be another machine's
	}
	return max(time.Since(t.CreatedAt()), 0)
}
