package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/natspub"
)

func main() {
	nc, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	events := natspub.NewCore(nc, "afterspan.release")
	fmt.Println(events.Publish(context.Background(), publisher.Event{Kind: publisher.KindNodeExecution, Type: publisher.TypeStart}))
}
