package amqppub_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/amqppub"
)

var (
	ctx     = context.Background()
	conn    *amqp.Connection
	channel *amqp.Channel
)

// broker has a connection to RabbitMQ, and replaces it when it is closed.
type broker struct {
	url  string
	mu   sync.Mutex // guards conn
	conn *amqp.Connection
}

func (b *broker) connect(ctx context.Context) (*amqp.Connection, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && !b.conn.IsClosed() {
		return b.conn, nil // another call has reconnected already
	}
	conn, err := amqp.DialConfig(b.url, amqp.Config{
		Heartbeat: 10 * time.Second, // detects a silent broker after 15 seconds
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return conn, conn.SetDeadline(time.Now().Add(10 * time.Second)) // for the handshake
		},
	})
	if err == nil {
		b.conn = conn
	}
	return conn, err
}

func (b *broker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.conn.Close()
}

func Example() {
	b := &broker{url: "amqp://localhost:5672/"}
	conn, err := b.connect(ctx)
	if err != nil {
		return
	}
	defer b.close()

	tasks := core.New()
	agentEvents := amqppub.New(conn, "agent", "events", amqppub.WithReconnect(b.connect))
	events := publisher.NewOrdered(tasks, agentEvents)
	events.Go(ctx, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeStart, NodeName: "plan", ThreadID: "t-42",
	}, core.WithTimeout(10*time.Second))

	stats, err := tasks.Shutdown(ctx) // delivers the accepted events, within ctx's deadline
	if lost := stats.CancelledTasks + stats.RemainingTasks; lost > 0 || err != nil {
		slog.Error("events were not delivered", "lost", lost, "error", err)
	}
}

func ExampleNew_declare() {
	durable, autoDelete, exclusive, internal, noWait := true, false, false, false, false
	if err := channel.ExchangeDeclare("agent", amqp.ExchangeTopic, durable, autoDelete, internal, noWait, nil); err != nil {
		return
	}
	for queue, args := range map[string]amqp.Table{
		"billing": {
			amqp.QueueTypeArg: amqp.QueueTypeQuorum, "x-delivery-limit": 60,
			"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "billing.dead",
		},
		"billing.dead": {amqp.QueueTypeArg: amqp.QueueTypeQuorum},
	} {
		if _, err := channel.QueueDeclare(queue, durable, autoDelete, exclusive, noWait, args); err != nil {
			return
		}
	}
	if err := channel.QueueBind("billing", "events.#", "agent", noWait, nil); err != nil {
		return
	}
}

func ExampleWithRoutingKeyFunc() {
	byKind := amqppub.WithRoutingKeyFunc(func(e publisher.Event) string {
		return "events." + string(e.Kind)
	})
	amqppub.New(conn, "agent", "", byKind)
}
