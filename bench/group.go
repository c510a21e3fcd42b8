package main

import (
	"context"
	"math"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// The names of the variants that others are compared with.
const (
	nameGo          = "bare `go`"
	nameGoTimed     = "bare `go`, timeout"
	nameGoWatched   = "bare `go`, timeout that is watched"
	nameGoOwn       = "bare `go`, a closure each"
	nameHand        = "by hand"
	nameHandTimed   = "by hand, timeout"
	nameHandWatched = "by hand, timeout that is watched"
	nameHandOwn     = "by hand, a closure each"
	nameOurs        = "**afterspan**"
	nameOursRequest = "**afterspan**, context of a request"
	nameOursTimed   = "**afterspan**, timeout"
	nameOursWatched = "**afterspan**, timeout that is watched"
	nameOursOwn     = "**afterspan**, a closure each"
	nameOursLimited = "**afterspan**, 64 at a time"

	nameSpanSampled   = "span by hand, sampled"
	nameSpanUnsampled = "span by hand, not sampled"
	nameSpanNoop      = "span by hand, no-op provider"
	nameOtel          = "**afterspan**, sampled"
	nameOtelOne       = "**afterspan**, sampled, WithoutSpawnSpan"
	nameOtelMetrics   = "**afterspan**, sampled, and metrics"
	nameOtelUnsampled = "**afterspan**, not sampled"
	nameOtelNoop      = "**afterspan**, no-op providers"
	nameOtelNoopPlain = "**afterspan**, no-op providers, no spawner"
	nameNoMiddleware  = "**afterspan**, no middleware"
	nameNoMwPlain     = "**afterspan**, no middleware, no spawner"
)

// A variant is one engine with one work.
type variant struct {
	name string
	open func() engine
	ctx  context.Context // nil: the group's
	fn   work            // nil: the group's
}

// A group is what is measured in one go, and compared. Its first variant is the floor.
type group struct {
	name     string
	title    string
	ctx      context.Context
	fn       work
	modes    []mode
	variants []variant
}

// job returns what a submitter of v has run.
func (g group) job(v variant) job {
	j := job{ctx: g.ctx, fn: g.fn}
	if v.ctx != nil {
		j.ctx = v.ctx
	}
	if v.fn != nil {
		j.fn = v.fn
	}
	return j
}

// request is the context of a request that goes on.
var request, _ = context.WithCancel(context.Background())

// groups returns everything that is measured but the tasks in flight.
func groups() []group {
	all := []mode{oneGoroutine, allCores, oneAtATime}
	background := context.Background()
	return []group{
		{"empty", "An empty task", background, empty, all, emptyVariants()},
		{"work", "1 µs of work", background, microsecond, all, variants()},
		{"log", "A task that logs one line of JSON", background, logLine, all, variants()},
		{"child", "A task that starts one child span", spawner(sampled), childSpan, all, variants()},
		{"tracing", "A span for each task, with a link and three attributes", background, empty, all, tracingVariants()},
	}
}

// variants are the engines, and ours and the two that are like it with a timeout.
func variants() []variant {
	return append(engines(),
		variant{name: nameGoTimed, open: bareGoTimed},
		variant{name: nameHandTimed, open: byHand(timeout)},
		variant{name: nameOursTimed, open: oursTimed},
	)
}

// engines are all of them, without a timeout.
func engines() []variant {
	return append([]variant{
		{name: nameGo, open: bareGo},
		{name: nameHand, open: byHand(0)},
		{name: nameOurs, open: ours()},
		{name: nameOursLimited, open: ours(core.WithLimit(poolSize, -1))},
	}, rivals()...)
}

// rivals are the libraries.
func rivals() []variant {
	return []variant{
		{name: "errgroup", open: errGroup},
		{name: "taskgroup", open: taskGroup},
		{name: "conc WaitGroup", open: concWaitGroup},
		{name: "conc pool, 64", open: concPool},
		{name: "pond, 64", open: pondPool(poolSize)},
		{name: "pond", open: pondPool(0)},
		{name: "ants, 64", open: antsPool(poolSize)},
		{name: "ants", open: antsPool(-1)},
		{name: "gopool, 64", open: goPool(poolSize)},
		{name: "gopool", open: goPool(math.MaxInt32)},
	}
}

// emptyVariants are variants, and what costs something else where the task itself costs nothing.
func emptyVariants() []variant {
	vs := append(variants(),
		variant{name: nameOursRequest, open: ours(), ctx: request},
		variant{name: nameGoOwn, open: bareGoOwn},
		variant{name: nameHandOwn, open: byHandOwn},
		variant{name: nameOursOwn, open: oursOwn},
		variant{name: nameGoWatched, open: bareGoTimed, fn: watch},
		variant{name: nameHandWatched, open: byHand(timeout), fn: watch},
		variant{name: nameOursWatched, open: oursTimed, fn: watch},
	)
	for _, v := range rivals() {
		vs = append(vs, variant{name: v.name + ", timeout", open: timed(v.open)})
	}
	return vs
}

// tracingVariants are ours with otelmw in its states, and what they are compared with.
func tracingVariants() []variant {
	recorded, dropped := spawner(sampled), spawner(unsampled)
	var none trace.TracerProvider = noTraces
	return []variant{
		{name: nameGo, open: bareGo},
		{name: nameSpanSampled, open: spanByHand(sampled), ctx: recorded},
		{name: nameOtelOne, open: oursTraced(traced(sampled, noMetrics, otelmw.WithoutSpawnSpan())), ctx: recorded},
		{name: nameOtel, open: oursTraced(traced(sampled, noMetrics)), ctx: recorded},
		{name: nameOtelMetrics, open: oursTraced(traced(sampled, meters)), ctx: recorded},
		{name: nameSpanUnsampled, open: spanByHand(unsampled), ctx: dropped},
		{name: nameOtelUnsampled, open: oursTraced(traced(unsampled, noMetrics)), ctx: dropped},
		{name: nameSpanNoop, open: spanByHand(none), ctx: recorded},
		{name: nameOtelNoop, open: oursTraced(traced(none, noMetrics)), ctx: recorded},
		{name: nameNoMiddleware, open: oursTraced(nil), ctx: recorded},
		{name: nameOtelNoopPlain, open: oursTraced(traced(none, noMetrics))},
		{name: nameNoMwPlain, open: oursTraced(nil)},
	}
}
