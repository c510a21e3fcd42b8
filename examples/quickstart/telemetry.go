package main

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const scopeName = "github.com/afterspan/afterspan/examples/quickstart"

// Keys of the semantic conventions for generative AI, which Go's semconv package no longer has:
// https://github.com/open-telemetry/semantic-conventions-genai
const (
	operationNameKey  = attribute.Key("gen_ai.operation.name")
	agentNameKey      = attribute.Key("gen_ai.agent.name")
	conversationIDKey = attribute.Key("gen_ai.conversation.id")
	toolNameKey       = attribute.Key("gen_ai.tool.name")
	toolTypeKey       = attribute.Key("gen_ai.tool.type")
)

// newTracerProvider returns a provider that exports in batches, as in production: what is not flushed by its
// Shutdown is lost.
func newTracerProvider(exporter sdktrace.SpanExporter) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL, semconv.ServiceName("quickstart"))),
	)
}

// invokeSpan runs all the nodes in the span of the agent.
func (a *agent) invokeSpan(ctx context.Context, run func(context.Context) error) error {
	return a.span(ctx, "invoke_agent "+a.name, run,
		operationNameKey.String("invoke_agent"),
		agentNameKey.String(a.name),
		conversationIDKey.String(a.thread))
}

// node runs a node in a span of its own.
func (a *agent) node(ctx context.Context, name string, run func(context.Context) error) error {
	return a.span(ctx, name, run)
}

// tool runs a tool in a span of its own, and notes in the transcript what came of it.
func (a *agent) tool(ctx context.Context, name string, run func(context.Context) (string, error)) error {
	return a.span(ctx, "execute_tool "+name, func(ctx context.Context) error {
		out, err := run(ctx)
		if err == nil {
			a.note("tool", name, out)
		}
		return err
	}, operationNameKey.String("execute_tool"), toolNameKey.String(name), toolTypeKey.String("function"))
}

// span runs a part of the agent in a span.
func (a *agent) span(ctx context.Context, name string, run func(context.Context) error, attrs ...attribute.KeyValue) error {
	ctx, span := a.tracer.Start(ctx, name, trace.WithAttributes(attrs...))
	defer span.End()
	err := run(ctx)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(semconv.ErrorType(err))
	}
	return err
}
