package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/amqppub"
	"github.com/afterspan/afterspan/publisher/publishertest"
)

// rabbitMaxSize is the server's max_message_size, much less than the default.
const rabbitMaxSize = 2 << 20

// rabbit is a RabbitMQ server that the tests have started.
type rabbit struct {
	*process
	addr string
	away []*amqp.Connection // connections that a kill of the server has closed
}

// startRabbit starts a server that shares nothing with other servers on this machine. It has an
// epmd of its own, and its cookie and all its files are in a directory of the test.
func startRabbit(t *testing.T) *rabbit {
	t.Helper()
	// Run the script itself. Debian's wrapper in the PATH changes the user and drops the
	// environment.
	server := requireProgram(t, "/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
	epmd := startEpmd(t)
	r := &rabbit{addr: freeAddr(t)}
	dir := t.TempDir()
	config := filepath.Join(dir, "rabbitmq.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, "max_message_size = %d\n", rabbitMaxSize), 0o600))
	plugins := filepath.Join(dir, "plugins")
	require.NoError(t, os.WriteFile(plugins, []byte("[].\n"), 0o600))
	r.process = startProcess(t, &process{
		args: []string{server},
		env: []string{
			// The script then becomes the server, instead of starting it, so we can wait for it.
			"RUNNING_UNDER_SYSTEMD=true",
			"HOME=" + dir, "ERL_EPMD_PORT=" + portOf(t, epmd),
			"RABBITMQ_NODENAME=afterspan@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
			"RABBITMQ_NODE_PORT=" + portOf(t, r.addr), "RABBITMQ_DIST_PORT=" + portOf(t, freeAddr(t)),
			"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"),
			"RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + plugins,
			"RABBITMQ_CONFIG_FILE=" + config, "RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "none.conf"),
			"RABBITMQ_LOGS=-",
		},
		ready: func(ctx context.Context) error {
			conn, err := r.connect(ctx)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	})
	return r
}

// startEpmd starts epmd, by which Erlang's servers find each other. Without it, a server would
// start an epmd that outlives the test.
func startEpmd(t *testing.T) (addr string) {
	t.Helper()
	addr = freeAddr(t)
	startProcess(t, &process{
		args: []string{requireProgram(t, "epmd"), "-port", portOf(t, addr), "-address", "127.0.0.1"},
		ready: func(ctx context.Context) error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	})
	return addr
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return port
}

// connect opens a connection, like the function in the README.
func (r *rabbit) connect(ctx context.Context) (*amqp.Connection, error) {
	return r.connectThrough(ctx, func(conn net.Conn) net.Conn { return conn })
}

// connectThrough opens a connection through the network connection that wrap returns.
func (r *rabbit) connectThrough(ctx context.Context, wrap func(net.Conn) net.Conn) (*amqp.Connection, error) {
	return amqp.DialConfig("amqp://"+r.addr, amqp.Config{
		Heartbeat: time.Second, // the minimum: the client detects a stuck server after 3 s
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return wrap(conn), conn.SetDeadline(time.Now().Add(10 * time.Second)) // for the handshake
		},
	})
}

// open opens a connection for a test, and a channel to inspect the server.
func (r *rabbit) open(t *testing.T) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	conn, err := r.connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { closeQuietly(conn) })
	channel, err := conn.Channel()
	require.NoError(t, err)
	return conn, channel
}

// reconnect returns connect as a function that closes its connections at the end of the test.
func (r *rabbit) reconnect(t *testing.T) func(context.Context) (*amqp.Connection, error) {
	return func(ctx context.Context) (*amqp.Connection, error) {
		conn, err := r.connect(ctx)
		if err == nil {
			t.Cleanup(func() { closeQuietly(conn) })
		}
		return conn, err
	}
}

func closeQuietly(conn *amqp.Connection) { _ = conn.Close() } // it may be closed already

// breakable opens a connection. It also returns a function that breaks it, as a failing network
// does.
func (r *rabbit) breakable(t *testing.T) (*amqp.Connection, func()) {
	t.Helper()
	var network net.Conn
	conn, err := r.connectThrough(t.Context(), func(conn net.Conn) net.Conn {
		network = conn
		return conn
	})
	require.NoError(t, err)
	t.Cleanup(func() { closeQuietly(conn) })
	return conn, func() {
		closed := conn.NotifyClose(make(chan *amqp.Error, 1))
		network.Close()
		for range closed { // wait until the client has noticed
		}
	}
}

// queue declares a durable queue with a new name.
func queue(t *testing.T, channel *amqp.Channel, args amqp.Table) string {
	t.Helper()
	name := fmt.Sprintf("%.200s/%d", t.Name(), time.Now().UnixNano())
	q, err := channel.QueueDeclare(name, true, false, false, false, args)
	require.NoError(t, err)
	return q.Name
}

// depth returns how many messages of a queue wait for a consumer.
func (r *rabbit) depth(t *testing.T, queue string) int {
	t.Helper()
	conn, err := r.connect(t.Context())
	require.NoError(t, err)
	defer closeQuietly(conn)
	channel, err := conn.Channel()
	require.NoError(t, err)
	q, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
	require.NoError(t, err)
	return q.Messages
}

// drain removes and returns all events of a queue.
func drain(t *testing.T, channel *amqp.Channel, queue string) (events []publisher.Event) {
	t.Helper()
	for {
		d, more, err := channel.Get(queue, true)
		require.NoError(t, err)
		if !more {
			return events
		}
		event, err := amqppub.Decode(d)
		require.NoError(t, err)
		events = append(events, event)
	}
}

// target returns the target of the conformance kit.
func (r *rabbit) target(t *testing.T, encoding publisher.Encoding) publishertest.Target {
	t.Helper()
	conn, channel := r.open(t)
	name := queue(t, channel, nil)
	deliveries, err := channel.Consume(name, "", true, false, false, false, nil)
	require.NoError(t, err)
	return publishertest.Target{
		TooLarge:  tooLargeForRabbitMQ(encoding),
		Publisher: amqppub.New(conn, "", name, amqppub.WithEncoding(encoding), amqppub.WithMaxMessageSize(rabbitMaxSize)),
		Away:      publisher.Func(r.publishAway),
		Stuck:     r.stuck(t, amqppub.New(conn, "", name, amqppub.WithEncoding(encoding))),
		Receive: func(ctx context.Context) (publishertest.Received, error) {
			select {
			case d := <-deliveries:
				event, err := amqppub.Decode(d)
				return publishertest.Received{Event: event, Header: textsOf(d.Headers)}, err
			case <-ctx.Done():
				return publishertest.Received{}, ctx.Err()
			}
		},
	}
}

// publishAway publishes with two publishers whose connections a kill has closed. Both must fail: it
// returns nil if either of them does.
func (r *rabbit) publishAway(ctx context.Context, event publisher.Event) error {
	fails := func(context.Context) (*amqp.Connection, error) { return nil, errors.New("the server is away") }
	with := amqppub.New(r.away[0], "", "events", amqppub.WithReconnect(fails)).Publish(ctx, event)
	without := amqppub.New(r.away[1], "", "events").Publish(ctx, event)
	if with == nil || without == nil {
		return nil
	}
	return errors.Join(with, without)
}

// stuck returns a publisher that pauses the server before the first event.
func (r *rabbit) stuck(t *testing.T, p publisher.Publisher) publisher.Publisher {
	return publisher.Func(func(ctx context.Context, event publisher.Event) error {
		r.pauseUntilEnd(t)
		return p.Publish(ctx, event)
	})
}

// pauseUntilEnd pauses the server until it is resumed, or until the end of the test.
func (r *rabbit) pauseUntilEnd(t *testing.T) {
	t.Cleanup(r.resume)
	r.pause(t)
}

func textsOf(headers amqp.Table) map[string]string {
	texts := make(map[string]string)
	for name, value := range headers {
		texts[strings.ToLower(name)] = fmt.Sprint(value)
	}
	return texts
}
