package brokertest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher/amqppub"
)

func reconnectsOnce(t *testing.T, r *rabbit) {
	const callers = 100
	conn, breakIt := r.breakable(t)
	_, channel := r.open(t)
	name := queue(t, channel, nil)
	var calls atomic.Int32
	hook := func(ctx context.Context) (*amqp.Connection, error) {
		calls.Add(1)
		return r.reconnect(t)(ctx)
	}
	p := amqppub.New(conn, "", name, amqppub.WithReconnect(hook))
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")))
	require.Zero(t, calls.Load(), "calls while the connection is open")
	breakIt()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() { assert.NoError(t, p.Publish(t.Context(), somethingIn("thread-1"))) })
	}
	wg.Wait()
	require.EqualValues(t, 1, calls.Load())
	require.Len(t, drain(t, channel, name), callers+1)
}

func callsHookAgain(t *testing.T, r *rabbit) {
	conn, breakIt := r.breakable(t)
	_, channel := r.open(t)
	name := queue(t, channel, nil)
	breakIt()
	secret := errors.New("dial amqp://alice:hunter2@rabbit:5672/: refused")
	_, unparsable := url.Parse("amqp://alice:hunter2 %zz@rabbit:5672/")
	failures := []error{secret, unparsable}
	p := amqppub.New(conn, "", name, amqppub.WithReconnect(func(ctx context.Context) (*amqp.Connection, error) {
		if len(failures) == 0 {
			return r.reconnect(t)(ctx)
		}
		err := failures[0]
		failures = failures[1:]
		return nil, err
	}))
	for _, failure := range []error{secret, unparsable} {
		err := p.Publish(t.Context(), somethingIn("thread-1"))
		require.ErrorIs(t, err, failure)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), "alice")
		require.Contains(t, err.Error(), "amqp://***@")
	}
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")))
	require.Len(t, drain(t, channel, name), 1)
}

func refusesClosedConnections(t *testing.T, r *rabbit) {
	conn, breakIt := r.breakable(t)
	breakIt()
	for _, useless := range []*amqp.Connection{nil, conn} {
		hook := func(context.Context) (*amqp.Connection, error) { return useless, nil }
		err := amqppub.New(conn, "", "events", amqppub.WithReconnect(hook)).Publish(t.Context(), somethingIn("thread-1"))
		require.ErrorContains(t, err, "the function given to WithReconnect returned a connection that is not open")
	}
	err := amqppub.New(conn, "", "events", amqppub.WithReconnect(nil)).Publish(t.Context(), somethingIn("thread-1"))
	require.ErrorContains(t, err, "WithReconnect is not set")
}

func doesNotWaitForHook(t *testing.T, r *rabbit) {
	conn, breakIt := r.breakable(t)
	_, channel := r.open(t)
	name := queue(t, channel, nil)
	breakIt()
	var calls atomic.Int32
	release := make(chan struct{})
	hook := func(context.Context) (*amqp.Connection, error) { // ignores its context
		calls.Add(1)
		<-release
		return r.reconnect(t)(t.Context())
	}
	p := amqppub.New(conn, "", name, amqppub.WithReconnect(hook))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { assert.ErrorIs(t, p.Publish(ctx, somethingIn("thread-1")), context.DeadlineExceeded) })
	}
	wg.Wait()
	close(release)
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")))
	require.EqualValues(t, 1, calls.Load(), "calls: the first returned late, but its connection is used")
	require.Len(t, drain(t, channel, name), 1)
}

// trapdoor is a network connection that breaks when the client asks for confirms.
type trapdoor struct {
	net.Conn
	sprung *atomic.Bool
}

func (c trapdoor) Write(b []byte) (int, error) {
	confirmSelect := []byte{0, 85, 0, 10} // https://www.rabbitmq.com/amqp-0-9-1-reference#confirm.select
	if bytes.Contains(b, confirmSelect) {
		c.sprung.Store(true)
		c.Close()
	}
	return c.Conn.Write(b)
}

func neverUsesHalfOpen(t *testing.T, r *rabbit) {
	var sprung atomic.Bool
	conn, err := r.connectThrough(t.Context(), func(conn net.Conn) net.Conn { return trapdoor{conn, &sprung} })
	require.NoError(t, err)
	t.Cleanup(func() { closeQuietly(conn) })
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	_, channel := r.open(t)
	name := queue(t, channel, nil)
	p := amqppub.New(conn, "", name, amqppub.WithReconnect(r.reconnect(t)))
	require.ErrorContains(t, p.Publish(t.Context(), somethingIn("thread-1")), "channel")
	require.Error(t, <-closed)
	require.True(t, sprung.Load())
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")))
	require.ErrorContains(t, amqppub.New(conn, "", name).Publish(t.Context(), somethingIn("thread-1")), "connection is closed")
	require.Len(t, drain(t, channel, name), 1)
}

// clogged is a network connection whose writes block once full is set, as if its buffers were full.
type clogged struct {
	net.Conn
	full   *atomic.Bool
	writes chan struct{} // receives a value from each Write that blocks
	closed chan struct{}
}

func (c clogged) Write(b []byte) (int, error) {
	if !c.full.Load() {
		return c.Conn.Write(b)
	}
	c.writes <- struct{}{}
	<-c.closed
	return 0, net.ErrClosed
}

// The client hangs together with its channel here: a writer holds the lock that closing the channel
// needs. Only the connection reports that it is closed.
func leavesStuckBroker(t *testing.T, r *rabbit) {
	network := clogged{full: &atomic.Bool{}, writes: make(chan struct{}, 100), closed: make(chan struct{})}
	conn, err := r.connectThrough(t.Context(), func(conn net.Conn) net.Conn {
		network.Conn = conn
		return network
	})
	require.NoError(t, err)
	t.Cleanup(func() { close(network.closed) })
	_, channel := r.open(t)
	name := queue(t, channel, nil)
	p := amqppub.New(conn, "", name, amqppub.WithReconnect(r.reconnect(t)))
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")))

	network.full.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		assert.ErrorContains(t, p.Publish(t.Context(), somethingIn("thread-1")), "the channel was closed")
	})
	<-network.writes
	for range 16 {
		wg.Go(func() {
			assert.ErrorContains(t, p.Publish(t.Context(), somethingIn("thread-1")), "the channel was closed")
		})
	}
	// The second publisher cannot open its channel.
	second := amqppub.New(conn, "", name, amqppub.WithReconnect(r.reconnect(t)))
	wg.Go(func() {
		assert.ErrorContains(t, second.Publish(t.Context(), somethingIn("thread-1")), "open a channel")
	})
	r.pauseUntilEnd(t)
	wg.Wait()
	require.True(t, conn.IsClosed())
	r.resume()
	require.NoError(t, p.Publish(t.Context(), somethingIn("thread-1")))
	require.NoError(t, second.Publish(t.Context(), somethingIn("thread-1")))
}

func leavesConnectionOpen(t *testing.T, r *rabbit) {
	conn, channel := r.open(t)
	p := amqppub.New(conn, "", queue(t, channel, nil))
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, p.Publish(ctx, somethingIn("thread-1")))
	cancel()
	require.ErrorIs(t, p.Publish(ctx, somethingIn("thread-1")), context.Canceled)
	require.False(t, conn.IsClosed())
	require.NoError(t, conn.Close())
	require.ErrorContains(t, p.Publish(t.Context(), somethingIn("thread-1")), "connection is closed")
}
