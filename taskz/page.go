package taskz

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/afterspan/afterspan/core"
)

// A Page remembers what became of the tasks of one manager, and shows it. Create one with [New].
// Its methods are safe for concurrent use.
type Page struct {
	config
	instance string    // differs between restarts of the process, whose tasks have the same ids
	start    time.Time // the start of the first slot of the series
	memory   memory
	runs     runs
	lines    lineStore
	resolver *resolver
}

// New returns a page. It starts no goroutine.
func New(opts ...Option) *Page {
	p := &Page{config: newConfig(opts), instance: rand.Text(), start: time.Now(), resolver: newResolver()}
	p.memory.init(p.recent)
	return p
}

// Middleware returns the middleware that remembers how tasks ended. Put it after the middleware
// that starts spans, if there is one. It calls LogValue and Error methods of ended tasks, and cuts
// long text; see the package documentation for the cost. It does so on the goroutine of the task,
// as a log handler does: a method that blocks holds up the end of its task.
func (p *Page) Middleware() core.Middleware {
	mw := core.Middleware{Refused: p.onRefused, Ended: p.onEnded, Abandoned: p.onAbandoned}
	if p.traceID != nil {
		mw.Wrap = p.runs.wrap
	}
	return mw
}

// TaskPath returns the address of t, relative to that of the page, such as 42?instance=X7Q…: for
// the Location of a 202, say. Ids count from 1 in every process, so with only the id another
// process would answer for a task of its own. With the instance, which is different for every Page,
// it answers 404.
//
// It is "" for a task that the manager refused: such a task has no id, and no address.
func (p *Page) TaskPath(t *core.Task) string {
	if t.ID() == 0 {
		return ""
	}
	return strconv.FormatUint(t.ID(), 10) + "?instance=" + p.instance
}

// onEnded is the Ended hook.
func (p *Page) onEnded(ctx context.Context, t *core.Task) {
	now := time.Now()
	r := record{outcome: outcomeOf(t)}
	r.describe(t, now)
	r.traceID = p.traceIDOf(ctx, t)
	r.lines = p.lines.take(t)
	p.memory.add(&r, p.slot(now), p.slot(r.started))
}

// onRefused is the Refused hook.
func (p *Page) onRefused(_ context.Context, t *core.Task) {
	now := time.Now()
	r := record{outcome: rejected}
	r.describe(t, now)
	p.memory.add(&r, p.slot(now), 0)
}

// onAbandoned is the Abandoned hook: the process is about to end, and t still runs.
func (p *Page) onAbandoned(ctx context.Context, t *core.Task) {
	r := record{outcome: abandoned}
	r.describe(t, time.Now())
	r.traceID = p.traceIDOf(ctx, t)
	r.lines = p.lines.of(t)
	p.memory.addAbandoned(&r)
}

// traceIDOf returns the trace id of a task, or "". It calls user code.
func (p *Page) traceIDOf(ctx context.Context, t *core.Task) (id string) {
	if p.traceID == nil {
		return ""
	}
	defer func() { _ = recover() }()
	return strings.Clone(cut(p.traceID(ctx, t), maxTraceID))
}
