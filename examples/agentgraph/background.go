package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/cloudwego/eino/schema"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// runIDs say which run a context belongs to.
type runIDs struct{ thread, run string }

type (
	runKey  struct{}
	nodeKey struct{}
)

// withRun also makes the ids attributes of every task that is started with the context.
func withRun(ctx context.Context, ids runIDs) context.Context {
	ctx = core.ContextWithAttrs(ctx, slog.String("thread_id", ids.thread), slog.String("run_id", ids.run))
	return context.WithValue(ctx, runKey{}, ids)
}

// withNode does the same for the name of a node.
func withNode(ctx context.Context, name string) context.Context {
	ctx = core.ContextWithAttrs(ctx, slog.String("node_name", name))
	return context.WithValue(ctx, nodeKey{}, name)
}

// whereabouts returns the run and the node that ctx belongs to. They are empty where there is none.
func whereabouts(ctx context.Context) (ids runIDs, node string) {
	ids, _ = ctx.Value(runKey{}).(runIDs)
	node, _ = ctx.Value(nodeKey{}).(string)
	return ids, node
}

// background starts a task of the node that ctx belongs to, with the manager that is in ctx. The task's end is traced, logged
// and counted, so its handle is dropped.
func background(ctx context.Context, name string, fn core.Func, opts ...core.TaskOption) error {
	tasks, ok := core.FromContext(ctx)
	if !ok {
		return fmt.Errorf("%s: %w", name, errNoManager)
	}
	tasks.Go(ctx, name, fn, opts...)
	return nil
}

// publish is the first pattern: it tells others how the run gets on, in the order of the calls. Neither a slow sink nor
// one that fails holds the run up.
func (a *agent) publish(ctx context.Context, kind publisher.Kind, what publisher.Type, content string) {
	ids, node := whereabouts(ctx)
	event := publisher.Event{
		Kind: kind, Type: what, Content: content, IsError: what == publisher.TypeError,
		ThreadID: ids.thread, RunID: ids.run, NodeName: node,
	}
	a.events.Go(ctx, event)
}

// progress streams the answer, part by part.
func (a *agent) progress(ctx context.Context, part string) {
	a.publish(ctx, publisher.KindStreaming, publisher.TypeUpdate, part)
}

// notify is the second pattern: it posts the answer to a webhook. The request has the task's context, and so the timeout
// of the task ends it.
func (a *agent) notify(ctx context.Context, result answer) error {
	ids, node := whereabouts(ctx)
	body, err := json.Marshal(notification{ids.thread, ids.run, node, result.Text})
	if err != nil {
		return fmt.Errorf("encoding the notification: %w", err)
	}
	return background(ctx, "notify", func(ctx context.Context) error { return a.post(ctx, body) },
		core.WithTimeout(a.notifyTimeout))
}

// A notification is what the webhook gets.
type notification struct {
	ThreadID string `json:"thread_id"`
	RunID    string `json:"run_id"`
	NodeName string `json:"node_name"`
	Answer   string `json:"answer"`
}

func (a *agent) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.notifyURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	client := a.client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("notifying: %s", response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// collectMetrics is the third pattern: it works out figures that nobody waits for, and records them. The history must not
// change any more.
func (a *agent) collectMetrics(ctx context.Context, history []*schema.Message) error {
	return background(ctx, "collect_metrics", func(ctx context.Context) error {
		for _, message := range history {
			a.words.Add(ctx, int64(len(strings.Fields(message.Content))),
				metric.WithAttributes(attribute.String("role", string(message.Role))))
			for _, call := range message.ToolCalls {
				a.toolCalls.Add(ctx, 1, metric.WithAttributes(attribute.String("tool", call.Function.Name)))
			}
		}
		return nil
	})
}
