package main

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/redispub"
)

func (b *broker) openRedis(ctx context.Context, o options) error {
	client := redis.NewClient(&redis.Options{Addr: o.redis, ContextTimeoutEnabled: true})
	b.atClose(client.Close)
	b.publisher = redispub.New(client, o.stream)
	b.receive = func(ctx context.Context, handle func(publisher.Event) bool) error {
		defer client.Del(context.WithoutCancel(ctx), o.stream) // it was for this run alone
		return receiveRedis(ctx, client, o.stream, handle)
	}
	return client.Ping(ctx).Err()
}

func receiveRedis(ctx context.Context, client *redis.Client, stream string, handle func(publisher.Event) bool) error {
	for last := "0"; ; {
		streams, err := client.XRead(ctx, &redis.XReadArgs{Streams: []string{stream, last}}).Result()
		if err != nil {
			return err
		}
		for _, entry := range streams[0].Messages {
			last = entry.ID
			event, err := redispub.Decode(entry)
			if err != nil {
				return err
			}
			if !handle(event) {
				return nil
			}
		}
	}
}
