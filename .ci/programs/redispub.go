package main

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/redispub"
)

func main() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	defer client.Close()
	events := redispub.New(client, "afterspan.release")
	fmt.Println(events.Publish(context.Background(), publisher.Event{Kind: publisher.KindNodeExecution, Type: publisher.TypeStart}))
}
