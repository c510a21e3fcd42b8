package kafkapub_test

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
)

var ctx = context.Background()

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
