package main

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/examples/internal/pretend"
	"github.com/afterspan/afterspan/publisher"
)

// An agent answers nothing, but does so in three nodes.
type agent struct {
	tracer trace.Tracer
	events *publisher.Ordered // keeps the events of a thread in order
	think  time.Duration
}

func (a *agent) invoke(ctx context.Context) error {
	ctx, span := a.tracer.Start(ctx, "invoke_agent")
	defer span.End()
	a.publish(ctx, publisher.KindGraphExecution, publisher.TypeStart, "")
	for _, node := range []string{"plan", "search", "answer"} {
		if err := a.node(ctx, node); err != nil {
			return err
		}
	}
	a.publish(ctx, publisher.KindGraphExecution, publisher.TypeEnd, "")
	return nil
}

func (a *agent) node(ctx context.Context, name string) error {
	ctx, span := a.tracer.Start(ctx, name)
	defer span.End()
	a.publish(ctx, publisher.KindNodeExecution, publisher.TypeStart, name)
	if err := pretend.Work(ctx, a.think); err != nil {
		return err
	}
	a.publish(ctx, publisher.KindNodeExecution, publisher.TypeResult, name)
	return nil
}
