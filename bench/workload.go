package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// empty does nothing.
func empty(context.Context) error { return nil }

// watch looks at its context once, as what may have to stop does.
func watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

// stepsPerMicrosecond is how often compute goes round in a microsecond on this machine. calibrate sets it.
var stepsPerMicrosecond = 400

// microsecond computes for about as long.
func microsecond(context.Context) error { return compute(stepsPerMicrosecond) }

func compute(steps int) error {
	x := uint64(88172645463325252)
	for range steps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		panic("never")
	}
	return nil
}

// calibrate measures how often compute goes round in a microsecond: the best of some tries, since others compute, too.
func calibrate() {
	const steps = 100_000
	best := time.Hour
	for range 50 {
		began := time.Now()
		_ = compute(steps)
		best = min(best, time.Since(began))
	}
	stepsPerMicrosecond = max(1, int(steps*time.Microsecond/best))
}

var discard = slog.New(slog.NewJSONHandler(io.Discard, nil))

// logLine writes one line of JSON to nowhere.
func logLine(ctx context.Context) error {
	discard.InfoContext(ctx, "receipt sent", slog.String("thread_id", "t-1"), slog.Int("attachments", 3))
	return nil
}

var childTracer = sampled.Tracer("mail")

// childSpan starts and ends a child of the span in its context.
func childSpan(ctx context.Context) error {
	_, span := childTracer.Start(ctx, "smtp")
	span.End()
	return nil
}

// counted returns fn, and how often it was called with a context that is live.
func counted(fn work) (work, *atomic.Int64) {
	var n atomic.Int64
	return func(ctx context.Context) error {
		if ctx.Err() == nil {
			n.Add(1)
		}
		return fn(ctx)
	}, &n
}
