package middleware

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/afterspan/afterspan/core"
)

// newHandler returns a handler whose lines are the same at every run.
func newHandler(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{}
		}
		return a
	}})
}

// The manager has a logger without the ContextHandler: its lines have the attributes already.
func ExampleSlogAttrs() {
	handler := newHandler(os.Stdout)
	logger := slog.New(ContextHandler{handler})
	tasks := core.New(core.WithMiddleware(SlogAttrs()), core.WithLogger(slog.New(handler)))

	logger.InfoContext(background, "outside of a task")
	_ = tasks.Go(background, "export", func(ctx context.Context) error {
		logger.InfoContext(ctx, "connecting", "host", "db-1")
		return errMail
	}, core.WithAttrs(slog.String("tenant", "ada"))).Wait(background)
	// Output:
	// level=INFO msg="outside of a task"
	// level=INFO msg=connecting host=db-1 task.name=export task.id=1 tenant=ada
	// level=ERROR msg="background task failed" task.name=export task.id=1 task.outcome=failed tenant=ada error="the mail server is away"
}

func TestSlogAttrsOfATaskThatATaskStarts(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(ContextHandler{newHandler(&out)})
	tasks := newTestManager(t, SlogAttrs())
	_ = tasks.Go(background, "outer", func(ctx context.Context) error {
		inner := tasks.Go(ctx, "inner", func(ctx context.Context) error {
			logger.InfoContext(ctx, "inside")
			return nil
		}, tenant("bob"))
		return inner.Wait(ctx)
	}, tenant("ada")).Wait(background)
	assert.Equal(t, "level=INFO msg=inside task.name=inner task.id=2 tenant=bob\n", out.String())
}

func TestSlogAttrsAndLoggersMadeOfTheLogger(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(ContextHandler{newHandler(&out)})
	_ = newTestManager(t, SlogAttrs()).Go(background, "export", func(ctx context.Context) error {
		logger.With("host", "db-1").InfoContext(ctx, "with")
		logger.WithGroup("db").InfoContext(ctx, "group", "host", "db-1")
		return nil
	}).Wait(background)
	assert.Equal(t, "level=INFO msg=with host=db-1 task.name=export task.id=1\n"+
		"level=INFO msg=group db.host=db-1 db.task.name=export db.task.id=1\n", out.String())
}

// What is written after a panic further in has them, too: it is the context that counts.
func TestSlogAttrsAfterAPanic(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(ContextHandler{newHandler(&out)})
	sayWhy := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, task *core.Task) error {
			err := next(ctx, task)
			logger.WarnContext(ctx, "it failed", "error", err)
			return err
		}
	})
	_ = newTestManager(t, SlogAttrs(), sayWhy).Go(background, "export", crash).Wait(background)
	assert.Equal(t, "level=WARN msg=\"it failed\" error=\"panic: a bug\" task.name=export task.id=1\n", out.String())
}

func TestSlogAttrsChangesNoEnding(t *testing.T) { checkEveryEnding(t, SlogAttrs) }
