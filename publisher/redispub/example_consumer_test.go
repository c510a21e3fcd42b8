package redispub_test

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/redispub"
)

// A groupReader is a consumer in a group. Several may run at the same time, each with its own name.
type groupReader struct {
	client                    *redis.Client
	stream, group, name, dead string        // dead is the stream for events that cannot be handled
	patience                  time.Duration // longer than it takes to handle an event
	handle                    func(context.Context, publisher.Event) error
}

// run handles events until ctx is done. An event that was not acknowledged is delivered again.
func (g groupReader) run(ctx context.Context) error {
	for ctx.Err() == nil {
		entries, err := g.next(ctx)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := g.settle(ctx, entry, g.try(ctx, entry)); err != nil {
				slog.Error("event not handled; it stays pending", "entry", entry.ID, "error", err)
			}
		}
	}
	return ctx.Err()
}

// next returns an entry whose consumer failed or died. If there is none, it waits a second for a new one.
func (g groupReader) next(ctx context.Context) ([]redis.XMessage, error) {
	left, _, err := g.client.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: g.stream, Group: g.group, Consumer: g.name, MinIdle: g.patience, Start: "0", Count: 1,
	}).Result()
	if err != nil || len(left) > 0 {
		return left, err
	}
	fresh, err := g.client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Streams: []string{g.stream, ">"}, Group: g.group, Consumer: g.name, Count: 1, Block: time.Second,
	}).Result()
	if err != nil && !errors.Is(err, redis.Nil) { // Nil: nothing new within a second
		return nil, err
	}
	for _, stream := range fresh {
		left = append(left, stream.Messages...)
	}
	return left, nil
}

// try handles the event. The error is permanent if another attempt would be pointless.
func (g groupReader) try(ctx context.Context, entry redis.XMessage) error {
	event, err := redispub.Decode(entry)
	if err != nil {
		return err // permanent
	}
	pending, err := g.client.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: g.stream, Group: g.group, Start: entry.ID, End: entry.ID, Count: 1,
	}).Result()
	if err == nil && len(pending) > 0 && pending[0].RetryCount > 10 {
		return publisher.Permanent(errors.New("delivered ten times, and its consumers failed or died"))
	}
	return g.handle(ctx, event)
}

// settle acknowledges the entry, or leaves it pending for another attempt. After a permanent failure it is moved
// to the stream dead.
func (g groupReader) settle(ctx context.Context, entry redis.XMessage, failure error) error {
	if failure != nil && !publisher.IsPermanent(failure) {
		return failure
	}
	_, err := g.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		if failure != nil {
			tx.XAdd(ctx, &redis.XAddArgs{Stream: g.dead, Values: append([]any{"error", failure.Error()}, fieldsOf(entry)...)})
		}
		return tx.XAck(ctx, g.stream, g.group, entry.ID).Err()
	})
	return err
}

func fieldsOf(entry redis.XMessage) (fields []any) {
	for name, value := range entry.Values {
		fields = append(fields, name, value)
	}
	return fields
}

// Create the group once, with XGroupCreateMkStream. handle is called again for an event that was
// delivered twice: the consumer example of package publisher remembers the IDs.
func ExampleDecode() {
	handle := func(context.Context, publisher.Event) error { return nil }
	billing := groupReader{
		client: client, stream: "agent.events", group: "billing", name: "billing-1", dead: "agent.events.dead",
		patience: time.Minute, handle: handle,
	}
	if err := billing.run(ctx); err != nil {
		slog.Error("consumer stopped", "error", err)
	}
}
