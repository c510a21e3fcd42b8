package kafkapub_test

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
)

var (
	ctx    = context.Background()
	tracer = noop.NewTracerProvider().Tracer("")
)

func handle(context.Context, publisher.Event) error { return nil }

func Example() {
	client, err := kgo.NewClient(
		kgo.SeedBrokers("localhost:9092"),
		kgo.RecordDeliveryTimeout(time.Minute),
	)
	if err != nil {
		panic(err)
	}
	defer client.Close()

	tasks := core.New()
	events := publisher.NewOrdered(tasks, kafkapub.New(client, "agent.events"))
	events.Go(ctx, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeStart, NodeName: "plan", ThreadID: "t-42",
	}, core.WithTimeout(10*time.Second))

	stats, err := tasks.Shutdown(ctx) // delivers the accepted events, within ctx's deadline
	if lost := stats.CancelledTasks + stats.RemainingTasks; lost > 0 || err != nil {
		slog.Error("events were not delivered", "lost", lost, "error", err)
	}
}

func ExampleDecode() {
	consume := func(r *kgo.Record) error {
		event, err := kafkapub.Decode(r)
		if err != nil {
			return err
		}
		ctx, span := tracer.Start(ctx, "handle", trace.WithLinks(trace.Link{SpanContext: event.SpanContext()}))
		defer span.End()
		return handle(ctx, event)
	}

	client, err := kgo.NewClient(
		kgo.SeedBrokers("localhost:9092"),
		kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("agent.events"), kgo.AutoCommitMarks(),
	)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(_ string, partition int32, err error) {
			slog.Error("partition not read", "partition", partition, "error", err)
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if err := consume(r); err != nil {
				slog.Error("event not handled", "partition", r.Partition, "offset", r.Offset, "error", err)
			}
			client.MarkCommitRecords(r)
		})
	}
}
