package main

import (
	"context"
	"errors"

	"github.com/cloudwego/eino/callbacks"
	"github.com/cloudwego/eino/components"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/compose"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/publisher"
)

const scopeName = "github.com/afterspan/afterspan/examples/agentgraph"

// callbacks makes a span of the graph, of each node and of each call of a tool, and publishes when they start and end.
// The context that a start returns is the one that the node gets: so its tasks are spawned from the node's span.
// A node that panics has no end in eino: its span is lost, and the graph's says what happened.
func (a *agent) callbacks() callbacks.Handler {
	return callbacks.NewHandlerBuilder().OnStartFn(a.onStart).OnEndFn(a.onEnd).OnErrorFn(a.onError).Build()
}

func (a *agent) onStart(ctx context.Context, info *callbacks.RunInfo, input callbacks.CallbackInput) context.Context {
	kind, name := kindOf(info), info.Name
	var attrs []attribute.KeyValue
	switch kind {
	case publisher.KindGraphExecution:
		ids, _ := whereabouts(ctx)
		name = "invoke_agent " + name
		attrs = append(attrs, attribute.String("gen_ai.operation.name", "invoke_agent"),
			attribute.String("gen_ai.agent.name", info.Name), attribute.String("gen_ai.conversation.id", ids.thread))
	case publisher.KindToolExecution: // which is in the node that calls it
		name = "execute_tool " + name
		attrs = append(attrs, attribute.String("gen_ai.operation.name", "execute_tool"),
			attribute.String("gen_ai.tool.name", info.Name))
	default:
		ctx = withNode(ctx, name)
	}
	ctx, _ = a.tracer.Start(ctx, name, trace.WithAttributes(attrs...))
	a.publish(ctx, kind, publisher.TypeStart, startContent(info, input))
	return ctx
}

// onEnd publishes before the span ends, so that the task's spawn lies within it.
func (a *agent) onEnd(ctx context.Context, info *callbacks.RunInfo, output callbacks.CallbackOutput) context.Context {
	a.publish(ctx, kindOf(info), publisher.TypeEnd, endContent(info, output))
	trace.SpanFromContext(ctx).End()
	return ctx
}

func (a *agent) onError(ctx context.Context, info *callbacks.RunInfo, err error) context.Context {
	what := publisher.TypeError
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		what = publisher.TypeInterrupted
	}
	a.publish(ctx, kindOf(info), what, err.Error())
	span := trace.SpanFromContext(ctx)
	span.SetStatus(codes.Error, err.Error())
	span.End()
	return ctx
}

func kindOf(info *callbacks.RunInfo) publisher.Kind {
	switch info.Component {
	case compose.ComponentOfGraph:
		return publisher.KindGraphExecution
	case components.ComponentOfTool:
		return publisher.KindToolExecution
	default:
		return publisher.KindNodeExecution
	}
}

// startContent returns what the event of a start says: the question, or the arguments of a tool.
func startContent(info *callbacks.RunInfo, input callbacks.CallbackInput) string {
	switch kindOf(info) {
	case publisher.KindGraphExecution:
		question, _ := input.(string)
		return question
	case publisher.KindToolExecution:
		if in := tool.ConvCallbackInput(input); in != nil {
			return info.Name + " " + in.ArgumentsInJSON
		}
	}
	return ""
}

// endContent returns what the event of an end says: the answer, or the result of a tool.
func endContent(info *callbacks.RunInfo, output callbacks.CallbackOutput) string {
	switch kindOf(info) {
	case publisher.KindGraphExecution:
		result, _ := output.(answer)
		return result.Text
	case publisher.KindToolExecution:
		if out := tool.ConvCallbackOutput(output); out != nil {
			return info.Name + " " + out.Response
		}
	}
	return ""
}
