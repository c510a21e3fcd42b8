package brokertest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/redispub"
)

// startRedis starts a server that writes each command to disk before it answers.
func startRedis(t *testing.T) (*process, string) {
	t.Helper()
	addr := freeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	client := redisClient(t, addr)
	return startProcess(t, &process{
		args: []string{
			requireProgram(t, "redis-server", "valkey-server"), "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(),
			"--appendonly", "yes", "--appendfsync", "always", "--save", "",
		},
		ready: func(ctx context.Context) error { return client.Ping(ctx).Err() },
	}), addr
}

func redisClient(t *testing.T, addr string) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func TestRedisStreamIsWholeThroughKills(t *testing.T) {
	server, addr := startRedis(t)
	client := redisClient(t, addr)
	publishThroughKills(t, redispub.New(client, "events", redispub.WithMaxLen(0)), server, 5)
	requireWhole(t, readStream(t, client, "events"))
}

func readStream(t *testing.T, client *redis.Client, name string) (events []publisher.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	entries, err := client.XRange(ctx, name, "-", "+").Result()
	require.NoError(t, err)
	for _, entry := range entries {
		event, err := redispub.Decode(entry)
		require.NoError(t, err)
		events = append(events, event)
	}
	return events
}
