package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/internal/pretend"
)

// A conversation is what the background tasks of one question belong to.
type conversation struct {
	*agent
	thread string
}

// background starts a task of this conversation. Its handle may be dropped: Jaeger shows what becomes of it.
func (c *conversation) background(ctx context.Context, name string, fn core.Func, opts ...core.TaskOption) {
	c.tasks.Go(ctx, name, fn, append(opts, core.WithAttrs(slog.String("thread_id", c.thread)))...)
}

// loadProfile completes.
func (c *conversation) loadProfile(ctx context.Context) {
	c.background(ctx, "load_profile", func(ctx context.Context) error { return pretend.Work(ctx, c.think/2) })
}

// indexDocuments completes, and has a span of its own making in its trace.
func (c *conversation) indexDocuments(ctx context.Context) {
	c.background(ctx, "index_documents", func(ctx context.Context) error {
		ctx, span := c.tracer.Start(ctx, "embed")
		defer span.End()
		return pretend.Work(ctx, 2*c.think)
	})
}

func (c *conversation) afterAnswer(ctx context.Context) {
	c.writeTranscript(ctx)
	c.scoreSources(ctx, []float64{0.9, 0.7, 0.4})
	c.notify(ctx)
	c.awaitFeedback(ctx)
}

// writeTranscript fails: there is no such folder.
func (c *conversation) writeTranscript(ctx context.Context) {
	file := filepath.Join(c.outDir, c.thread+".json")
	c.background(ctx, "write_transcript", func(context.Context) error {
		return os.WriteFile(file, []byte("[]\n"), 0o600)
	})
}

// scoreSources panics: the last score has no next one. After a plain go statement that would end the process.
func (c *conversation) scoreSources(ctx context.Context, scores []float64) {
	c.background(ctx, "score_sources", func(context.Context) error {
		margins := make([]float64, len(scores))
		for i := range scores {
			margins[i] = scores[i] - scores[i+1]
		}
		return nil
	})
}

// notify times out: whom it calls does not answer.
func (c *conversation) notify(ctx context.Context) {
	c.background(ctx, "notify", untilDone, core.WithTimeout(100*time.Millisecond))
}

// awaitFeedback is cancelled as soon as the shutdown begins: the user gives none, and nothing is lost.
func (c *conversation) awaitFeedback(ctx context.Context) {
	c.background(ctx, "await_feedback", untilDone, core.UntilShutdown())
}

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
