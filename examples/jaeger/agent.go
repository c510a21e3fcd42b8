package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/examples/internal/pretend"
)

// An agent answers in three nodes, and leaves to background tasks what must not hold the answer up.
type agent struct {
	tracer trace.Tracer
	tasks  *core.Manager
	think  time.Duration
	outDir string // where the transcripts go
}

func newAgent(o options, tp *sdktrace.TracerProvider, tasks *core.Manager) *agent {
	return &agent{
		tracer: tp.Tracer(scopeName),
		tasks:  tasks,
		think:  o.think,
		outDir: filepath.Join(os.TempDir(), "afterspan-no-such-folder"), // for a task that fails
	}
}

// invoke answers in one conversation, and returns what is needed to find the span of it.
func (a *agent) invoke(ctx context.Context, thread string) (trace.SpanContext, error) {
	ctx, span := a.tracer.Start(ctx, "invoke_agent docs_agent", trace.WithAttributes(
		attribute.String("gen_ai.operation.name", "invoke_agent"),
		attribute.String("gen_ai.agent.name", "docs_agent"),
		attribute.String("gen_ai.conversation.id", thread)))
	defer span.End()
	c := &conversation{agent: a, thread: thread}
	for _, node := range []struct {
		name  string
		spawn func(context.Context)
	}{
		{"plan", c.loadProfile},
		{"search", c.indexDocuments},
		{"answer", c.afterAnswer},
	} {
		if err := a.node(ctx, node.name, node.spawn); err != nil {
			return span.SpanContext(), err
		}
	}
	return span.SpanContext(), nil
}

// node is one step of the agent, in a span of its own.
func (a *agent) node(ctx context.Context, name string, spawn func(context.Context)) error {
	ctx, span := a.tracer.Start(ctx, name)
	defer span.End()
	spawn(ctx)
	return pretend.Work(ctx, a.think) // the model
}
