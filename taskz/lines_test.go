package taskz_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// The lines that tasks log.

// linesOf returns the texts of the lines of a task.
func linesOf(s *service, id any) (texts []string) {
	lines, _ := s.json(fmt.Sprint(id))["lines"].([]any)
	for _, l := range lines {
		texts = append(texts, at(l, "level").(string)+" "+at(l, "text").(string))
	}
	return texts
}

func TestLinesOfATask(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out bytes.Buffer
		s := newService(t)
		log := slog.New(s.page.LogHandler(slog.NewTextHandler(&out, nil)))
		task := s.start("send", func(ctx context.Context) error {
			log.InfoContext(ctx, "sending", "host", "mail.example", "key", secret("hunter2"))
			log.With("component", "mail").WithGroup("reply").With("n", 1).WithGroup("").WarnContext(ctx, "refused", "code", 550)
			log.DebugContext(ctx, "the handler below is not enabled for this")
			log.Info("not of the task")
			time.Sleep(time.Minute)
			return errTask
		})
		synctest.Wait()
		want := []string{"INFO sending host=mail.example key=[redacted]", "WARN refused component=mail reply.n=1 reply.code=550"}
		require.Equal(t, want, linesOf(s, 1), "while it runs")
		<-task.Done()
		require.Equal(t, want, linesOf(s, 1), "and after it")
		require.Contains(t, out.String(), "reply.code=550")
		require.Contains(t, out.String(), "not of the task")
		require.Contains(t, s.get("1").Body.String(), "WARN refused")
		require.NotContains(t, first(t, at(s.json(""), "ended", "failed")), "lines", "they are on the task's own page")
	})
}

func TestOnlyTheLastLinesAreKept(t *testing.T) {
	s := newService(t)
	log := slog.New(s.page.LogHandler(slog.DiscardHandler))
	require.False(t, log.Enabled(t.Context(), slog.LevelError), "as the handler below")
	log = slog.New(s.page.LogHandler(slog.NewTextHandler(&bytes.Buffer{}, nil)))
	s.run("chatty", func(ctx context.Context) error {
		for i := range 100 {
			log.InfoContext(ctx, fmt.Sprint("line-", i, strings.Repeat("x", 1000)))
		}
		return nil
	})
	lines := linesOf(s, 1)
	require.Len(t, lines, 16)
	require.Contains(t, lines[0], "line-84x")
	require.Less(t, len(lines[0]), 300)
	require.EqualValues(t, 84, s.json("1")["lines_dropped"])
}

// The manager's own lines say what the page says anyway.
func TestLinesOfTheManagerAreLeftOut(t *testing.T) {
	s := newService(t)
	log := slog.New(s.page.LogHandler(slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{Level: slog.LevelDebug})))
	m := core.New(core.WithMiddleware(s.page.Middleware()), core.WithLogger(log))
	s.tasks, s.handler = m, s.page.Handler(m)
	s.run("send", func(ctx context.Context) error {
		log.InfoContext(ctx, "background task of mine")
		s.run("inner", fail)
		return fail(ctx)
	})
	require.Equal(t, []string{"INFO background task of mine"}, linesOf(s, 1))
}

// A goroutine that a task leaves behind may log after its end.
func TestLinesAfterTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		log := slog.New(s.page.LogHandler(slog.NewTextHandler(&bytes.Buffer{}, nil)))
		s.run("send", func(ctx context.Context) error {
			log.InfoContext(ctx, "before")
			go func() {
				time.Sleep(time.Second)
				log.InfoContext(ctx, "after")
			}()
			return nil
		})
		time.Sleep(time.Minute)
		require.Equal(t, []string{"INFO before"}, linesOf(s, 1))
	})
}

// Tasks beyond the bound have no lines. Tasks of a manager whose end the page does not see don't fill it
// for ever.
func TestLinesOfVeryManyTasks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		log := slog.New(s.page.LogHandler(slog.NewTextHandler(&bytes.Buffer{}, nil)))
		stranger := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
		release := make(chan struct{})
		var logged sync.WaitGroup
		for range 2000 {
			logged.Add(1)
			stranger.Go(t.Context(), "x", func(ctx context.Context) error {
				log.InfoContext(ctx, "a line")
				logged.Done()
				<-release
				return nil
			})
		}
		logged.Wait()
		logLine := func(ctx context.Context) error { log.InfoContext(ctx, "a line"); return nil }
		s.run("one too many", logLine)
		require.Empty(t, linesOf(s, 1))
		close(release)
		require.NoError(t, stranger.Wait(t.Context()))
		time.Sleep(time.Second)
		s.run("has room", logLine)
		require.Len(t, linesOf(s, 2), 1)
	})
}
