package brokertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// natsConfig is the environment variable that makes this program a NATS server. Its value is the
// name of the configuration file. The tests thus have a server to kill on every machine.
const natsConfig = "AFTERSPAN_NATS_CONFIG"

// serveNATS runs a server until it is killed or its parent process has ended.
func serveNATS(config string) {
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		panic(err)
	}
	s, err := server.NewServer(options)
	if err != nil {
		panic(err)
	}
	s.ConfigureLogger()
	s.Start()
	for parent := os.Getppid(); os.Getppid() == parent; {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}

// natsAccounts are the users of the servers. Their password is "secret".
const natsAccounts = `
	authorization { users: [
		{ user: tester, password: secret }
		{ user: restricted, password: secret, permissions: { publish: { deny: "forbidden.>" } } }
	] }`

// startNATS starts a server with JetStream that writes each message to disk before it answers.
func startNATS(t *testing.T) (*process, string) {
	return startNATSWith(t, "sync_interval: always")
}

func startNATSWith(t *testing.T, jetStream string) (*process, string) {
	t.Helper()
	addr := freeAddr(t)
	config := filepath.Join(t.TempDir(), "nats.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"listen: %q, max_payload: 8MB, jetstream { store_dir: %q, %s } %s",
		addr, t.TempDir(), jetStream, natsAccounts), 0o600))
	program, err := os.Executable()
	require.NoError(t, err)
	url := "nats://tester:secret@" + addr
	return startProcess(t, &process{
		args: []string{program}, env: []string{natsConfig + "=" + config},
		ready: func(ctx context.Context) error { return pingJetStream(ctx, url) },
	}), url
}

func pingJetStream(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.AccountInfo(ctx)
	return err
}

// connectNATS connects with the options that the README recommends.
func connectNATS(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the default one prints
	}, options...)...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func jetStreamOf(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// createStream creates a stream for the subjects, and deletes it at the end of the test.
func createStream(t *testing.T, js jetstream.JetStream, name string, subjects ...string) jetstream.Stream {
	t.Helper()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: subjects})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, js.DeleteStream(ctx, name))
	})
	return stream
}

// storedIn returns the number of messages in a stream.
func storedIn(t *testing.T, stream jetstream.Stream) uint64 {
	t.Helper()
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	return info.State.Msgs
}
