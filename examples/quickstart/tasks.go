package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// background starts a task of this conversation. Its handle may be dropped: what becomes of the task is
// traced, logged and counted.
func (a *agent) background(ctx context.Context, name string, fn core.Func, opts ...core.TaskOption) *core.Task {
	return a.tasks.Go(ctx, name, fn, append(opts, core.WithAttrs(slog.String("thread_id", a.thread)))...)
}

// publishEvent tells others how the agent gets on, in order. Neither a slow broker nor one that is down holds it up.
func (a *agent) publishEvent(ctx context.Context, node string, what publisher.Type, text string) {
	a.events.Go(ctx, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: what, NodeName: node, ThreadID: a.thread, Content: text,
	})
}

// indexDocuments starts to index what was read, and returns how to wait for the result: this task has one,
// and the handle is what makes it safe to use.
func (a *agent) indexDocuments(ctx context.Context, sections []section) func(context.Context) (*index, error) {
	var result *index
	task := a.background(ctx, "index_documents", func(ctx context.Context) (err error) {
		result, err = newIndex(ctx, sections)
		return err
	})
	return func(ctx context.Context) (*index, error) {
		if err := task.Wait(ctx); err != nil {
			return nil, fmt.Errorf("waiting for the index: %w", err)
		}
		return result, nil // what the task wrote is visible here, since it had ended before Wait returned nil
	}
}

// writeTranscript keeps the conversation. It is copied first, since the agent may go on to the next question.
func (a *agent) writeTranscript(ctx context.Context) {
	messages := slices.Clone(a.transcript)
	file := filepath.Join(a.outDir, "transcript.json")
	a.background(ctx, "write_transcript", func(context.Context) error {
		content, err := json.MarshalIndent(messages, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding the transcript: %w", err)
		}
		return os.WriteFile(file, append(content, '\n'), 0o644)
	})
}

// notify posts the answer to a webhook. It passes its context on, and so the timeout ends it.
func (a *agent) notify(ctx context.Context, result answer) {
	a.background(ctx, "notify", func(ctx context.Context) error {
		body, err := json.Marshal(map[string]string{"thread_id": a.thread, "answer": result.String()})
		if err != nil {
			return fmt.Errorf("encoding the notification: %w", err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.webhookURL, bytes.NewReader(body))
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode >= http.StatusMultipleChoices {
			err = fmt.Errorf("notifying: %s", response.Status)
		}
		return errors.Join(err, response.Body.Close())
	}, core.WithTimeout(a.notifyTimeout))
}

// scoreSources works out how clearly each quote beat the next one, to tune the ranking with.
//
// It has a bug, and has it on purpose: the last quote has no next one. After a plain go statement this
// panic would have ended the process.
func (a *agent) scoreSources(ctx context.Context, quotes []quote) {
	a.background(ctx, "score_sources", func(ctx context.Context) error {
		margins := make([]float64, len(quotes))
		for i := range quotes {
			margins[i] = quotes[i].score - quotes[i+1].score
		}
		a.publishEvent(ctx, "answer", publisher.TypeUpdate, fmt.Sprint("margins ", margins))
		return nil
	})
}
