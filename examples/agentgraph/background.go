package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cloudwego/eino/schema"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// background starts a task of the node that ctx belongs to, with the manager that is in ctx. The task's end is traced,
// logged and counted, so its handle is dropped.
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
