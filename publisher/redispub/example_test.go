package redispub_test

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/redispub"
)

var (
	ctx    = context.Background()
	tasks  = core.New()
	client = redis.NewClient(&redis.Options{Addr: "localhost:6379"})
)

func Example() {
	client := redis.NewClient(&redis.Options{
		Addr:                  "localhost:6379",
		ContextTimeoutEnabled: true,
	})
	defer client.Close()

	tasks := core.New()
	events := publisher.NewOrdered(tasks, redispub.New(client, "agent.events"))
	events.Go(ctx, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeStart, NodeName: "plan", ThreadID: "t-42",
	}, core.WithTimeout(10*time.Second))

	stats, err := tasks.Shutdown(ctx) // delivers the accepted events, within ctx's deadline
	if lost := stats.CancelledTasks + stats.RemainingTasks; lost > 0 || err != nil {
		slog.Error("events were not delivered", "lost", lost, "error", err)
	}
}

func ExampleWithPubSub() {
	live := redispub.New(client, "agent.live", redispub.WithPubSub())
	publisher.Go(ctx, tasks, live, publisher.Event{Kind: publisher.KindStreaming, Type: publisher.TypeUpdate})

	subscription := client.Subscribe(ctx, "agent.live")
	defer subscription.Close()
	for msg := range subscription.Channel() {
		event, err := redispub.DecodePubSub(msg)
		slog.Info("event", "id", event.ID, "error", err)
	}
}
