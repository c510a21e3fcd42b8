package main

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/amqppub"
)

func main() {
	conn, err := amqp.Dial("amqp://guest:guest@127.0.0.1:5672/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	events := amqppub.New(conn, "amq.topic", "afterspan.release")
	fmt.Println(events.Publish(context.Background(), publisher.Event{Kind: publisher.KindNodeExecution, Type: publisher.TypeStart}))
}
