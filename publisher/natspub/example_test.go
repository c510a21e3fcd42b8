package natspub_test

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/natspub"
)

var (
	ctx   = context.Background()
	tasks = core.New()

	nc *nats.Conn
	js jetstream.JetStream
)

func Example() {
	nc, err := nats.Connect("nats://localhost:4222", nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return
	}
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "AGENT", Subjects: []string{"agent.events"}, MaxAge: 7 * 24 * time.Hour,
	}); err != nil {
		return
	}

	tasks := core.New()
	events := publisher.NewOrdered(tasks, natspub.New(js, "agent.events"))
	events.Go(ctx, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeStart, NodeName: "plan", ThreadID: "t-42",
	}, core.WithTimeout(10*time.Second))

	stats, err := tasks.Shutdown(ctx) // delivers the accepted events, within ctx's deadline
	if lost := stats.CancelledTasks + stats.RemainingTasks; lost > 0 || err != nil {
		slog.Error("events were not delivered", "lost", lost, "error", err)
	}
}

func ExampleNewCore() {
	live := natspub.NewCore(nc, "agent.live")
	publisher.Go(ctx, tasks, live, publisher.Event{Kind: publisher.KindStreaming, Type: publisher.TypeUpdate})
}

func ExampleWithSubjectFunc() {
	natspub.New(js, "", natspub.WithSubjectFunc(func(e publisher.Event) string {
		return "agent.events." + string(e.Kind)
	}))
}
