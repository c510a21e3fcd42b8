package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// The names of the variants.
const (
	nameGo          = "bare `go`"
	nameHand        = "by hand"
	nameHandWatched = "by hand, watched"
	nameOurs        = "**afterspan**"
	nameOursWatched = "**afterspan**, watched"

	nameSpan          = "span by hand"
	nameSpanUnsampled = "span by hand, not sampled"
	nameOneSpan       = "otelmw, WithoutSpawnSpan"
	nameBothSpans     = "otelmw, both spans"
	nameUnsampled     = "otelmw, not sampled"
	nameNoop          = "otelmw, no-op providers"
	nameFiltered      = "otelmw, filtered"
	nameNoMiddleware  = "no middleware"

	namePage    = "page, not looked at"
	nameWatched = "page, ten readers"

	nameRiver     = "River alone"
	nameOtelriver = "River with otelriver"
	nameRiverq    = "River with riverq and otelmw"

	nameMany = "1,000,000 in flight"
	nameFew  = "1,000 in flight"
)

const (
	taskName = "send_receipt"
	timeout  = time.Minute // never fires
	poolSize = 64
)

// quiet is a logger like a service's, with debug lines off. It writes to nowhere.
var quiet = slog.New(slog.NewJSONHandler(io.Discard, nil))

// groups returns everything that is measured. A million tasks stay in flight after the last group.
func groups() []group {
	one := []mode{oneGoroutine}
	drain := func(e engine) { e.cancel(); e.wait() }
	shut := func(e engine) { e.close() }
	return []group{
		{"empty", modes, engines()},
		{"timeout", modes, timeouts()},
		{"log", modes, rivals(context.Background(), logLine)},
		{"child", modes, rivals(spawner(sampled), childSpan)},
		{"otelmw", modes, spans()},
		{"page", modes, []variant{
			tasks(context.Background(), nameNoMiddleware, ours(withAttrs), empty),
			tasks(context.Background(), namePage, paged(0), empty),
			tasks(context.Background(), nameWatched, paged(10), empty),
		}},
		{"cancel", one, []variant{
			ended(nameHand, byHand(0), perEngine, drain),
			ended(nameOurs, ours(plain), perEngine, drain),
		}},
		{"close", one, []variant{
			ended(nameHand, byHand(0), 1, shut),
			ended(nameOurs, ours(plain), 1, shut),
		}},
		{"parked", one, []variant{parked(nameGo, bareGo), parked(nameOurs, ours(plain))}},
		{"river", one, riverJobs()},
		{"million", one, []variant{
			crowded(nameFew, func(int) int { return perEngine }),
			crowded(nameMany, million),
		}},
	}
}

// million is a million where a sample has 50,000 tasks.
func million(tasks int) int { return 20 * tasks }

// rivals are what most aims compare.
func rivals(ctx context.Context, fn work) []variant {
	return []variant{
		tasks(ctx, nameGo, bareGo, fn),
		tasks(ctx, nameHand, byHand(0), fn),
		tasks(ctx, nameOurs, ours(plain), fn),
	}
}

// engines are the rivals and the libraries, with a task that does nothing.
func engines() []variant {
	ctx := context.Background()
	return append(rivals(ctx, empty),
		tasks(ctx, "**afterspan**, 64 at a time", ours(plain, core.WithLimit(poolSize, -1)), empty),
		tasks(ctx, "errgroup", errGroup, empty),
		tasks(ctx, "pond, 64", pondPool, empty),
		tasks(ctx, "ants, 64", antsPool, empty),
	)
}

func timeouts() []variant {
	ctx := context.Background()
	return []variant{
		tasks(ctx, nameHand, byHand(timeout), empty),
		tasks(ctx, nameOurs, ours(withTimeout), empty),
		tasks(ctx, nameHandWatched, byHand(timeout), watch),
		tasks(ctx, nameOursWatched, ours(withTimeout), watch),
	}
}

func spans() []variant {
	recorded, dropped := spawner(sampled), spawner(unsampled)
	oneSpan := traced(sampled, noMetrics, otelmw.WithoutSpawnSpan())
	filtered := traced(sampled, meters, otelmw.WithFilter(never))
	return []variant{
		tasks(recorded, nameSpan, spanByHand(sampled), empty),
		tasks(recorded, nameOneSpan, oneSpan, empty),
		tasks(recorded, nameBothSpans, traced(sampled, noMetrics), empty),
		tasks(dropped, nameSpanUnsampled, spanByHand(unsampled), empty),
		tasks(dropped, nameUnsampled, traced(unsampled, noMetrics), empty),
		tasks(recorded, nameNoMiddleware, ours(withAttrs), empty),
		tasks(recorded, nameNoop, traced(noTraces, noMetrics), empty),
		tasks(recorded, nameFiltered, filtered, empty),
	}
}

func empty(context.Context) error { return nil }

// watch looks at its context once, as a task does that may have to stop.
func watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

// logLine writes one line of JSON to nowhere.
func logLine(ctx context.Context) error {
	quiet.InfoContext(ctx, "receipt sent", slog.String("thread_id", "t-1"), slog.Int("attachments", 3))
	return nil
}

var childTracer = sampled.Tracer("mail")

// childSpan starts and ends a child of the span in its context.
func childSpan(ctx context.Context) error {
	_, span := childTracer.Start(ctx, "smtp")
	span.End()
	return nil
}
