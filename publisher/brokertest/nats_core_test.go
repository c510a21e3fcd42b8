package brokertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/natspub"
)

func TestCoreNATS(t *testing.T) {
	server, url := startNATS(t)
	nc := connectNATS(t, url)
	all := subscribe(t, connectNATS(t, url), ">")

	t.Run("accepts a context without a deadline", func(t *testing.T) {
		require.NoError(t, natspub.NewCore(nc, "events").Publish(context.Background(), progress("t-1")))
		_, err := all.NextMsgWithContext(t.Context())
		require.NoError(t, err)
	})

	t.Run("refuses an invalid subject, and sends nothing", func(t *testing.T) {
		// The oldest client that we support does not validate subjects.
		nc := connectNATS(t, url, nats.SkipSubjectValidation())
		for _, subject := range []string{
			"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a.*", "*", "a.>", "a\x00b", "a\x7fb",
			"a\r\nb", "a 0\r\n\r\nPUB injected 2\r\nhi\r\nPUB a",
		} {
			p := natspub.NewCore(nc, "", natspub.WithSubjectFunc(func(publisher.Event) string { return subject }))
			err := p.Publish(t.Context(), progressOf("e-1"))
			require.EqualError(t, err, fmt.Sprintf("natspub: event e-1: %q is not a valid subject to publish to", subject))
		}
		require.NoError(t, nc.Flush())
		requireNothing(t, all)
	})

	t.Run("returns an error if the user has no permission for the subject", func(t *testing.T) {
		nc := connectNATS(t, strings.Replace(url, "tester", "restricted", 1))
		for range 2 {
			err := natspub.NewCore(nc, "forbidden.x").Publish(t.Context(), progressOf("e-1"))
			require.ErrorIs(t, err, nats.ErrPermissionViolation)
			require.NoError(t, natspub.NewCore(nc, "allowed").Publish(t.Context(), progressOf("e-1")))
			msg, err := all.NextMsgWithContext(t.Context())
			require.NoError(t, err)
			require.Equal(t, "allowed", msg.Subject)
		}
	})

	t.Run("has the state of the connection in its errors, and no password", func(t *testing.T) {
		requireClearErrors(t, nc, server)
	})
}

// requireNothing requires that no message arrives at the subscription.
func requireNothing(t *testing.T, s *nats.Subscription) {
	t.Helper()
	_, err := s.NextMsg(50 * time.Millisecond)
	require.ErrorIs(t, err, nats.ErrTimeout)
}

func requireClearErrors(t *testing.T, nc *nats.Conn, server *process) {
	publishers := []publisher.Publisher{natspub.New(jetStreamOf(t, nc), "events"), natspub.NewCore(nc, "events")}
	requireError := func(state nats.Status) {
		t.Helper()
		for _, p := range publishers {
			err := p.Publish(t.Context(), progress("t-1"))
			require.ErrorContains(t, err, "(the connection is "+strings.ToLower(state.String())+")")
			require.NotContains(t, err.Error(), "secret")
		}
	}
	server.kill(t)
	require.Eventually(t, nc.IsReconnecting, time.Minute, time.Millisecond)
	requireError(nats.RECONNECTING)
	nc.Close()
	requireError(nats.CLOSED)
}

func TestNATSPublishReturnsInTimeThoughTheConnectionTakesNoMore(t *testing.T) {
	server, url := startNATS(t)
	narrow := nats.SetCustomDialer(narrowDialer{})
	js := jetStreamOf(t, connectNATS(t, url, narrow))
	nc := connectNATS(t, url, narrow)
	server.pause(t)
	t.Cleanup(server.resume)
	requireInTimeThoughBlocked(t, natspub.New(js, "events"))
	requireInTimeThoughBlocked(t, natspub.NewCore(nc, "events"))
}

// narrowDialer makes connections with a small write buffer, which a paused server soon leaves full.
type narrowDialer struct{}

func (narrowDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
}

// requireInTimeThoughBlocked publishes to a server that reads nothing.
func requireInTimeThoughBlocked(t *testing.T, p publisher.Publisher) {
	t.Helper()
	event := publisher.Event{Kind: "k", Type: "t", Content: strings.Repeat("x", 1<<19)}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		err := p.Publish(ctx, event)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "has not returned", "the client itself ignored the context")
	}
}

// A PONG that comes over a new connection does not confirm an event that was sent over the old one.
func TestCoreNATSAcknowledgesNothingThatIsLostWithAConnection(t *testing.T) {
	_, url := startNATS(t)
	reader := connectNATS(t, url)
	arrived := subscribe(t, reader, "events")
	dialer := &fragileDialer{}
	nc := connectNATS(t, url, nats.SetCustomDialer(dialer), nats.ReconnectWait(time.Microsecond))
	p := natspub.NewCore(nc, "events")

	acknowledged := publishUntilBrokenOften(t, p, dialer)
	require.NoError(t, reader.Flush()) // the server delivers earlier events before its PONG
	for n, _, _ := arrived.Pending(); n > 0; n-- {
		msg, err := arrived.NextMsg(time.Minute)
		require.NoError(t, err)
		event, err := natspub.Decode(msg.Header, msg.Data)
		require.NoError(t, err)
		delete(acknowledged, event.ID)
	}
	require.Empty(t, acknowledged, "events that were acknowledged but lost")
}

// publishUntilBrokenOften publishes from many goroutines while the connection breaks again and
// again. It returns the IDs of the acknowledged events.
func publishUntilBrokenOften(t *testing.T, p publisher.Publisher, dialer *fragileDialer) map[string]bool {
	const callers, breaks = 8, 300
	var mu sync.Mutex
	acknowledged := make(map[string]bool)
	var broken atomic.Bool
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := 0; !broken.Load(); i++ {
				event := progress("t-1")
				event.ID = fmt.Sprint(caller, "/", i)
				if p.Publish(t.Context(), event) != nil {
					continue
				}
				mu.Lock()
				acknowledged[event.ID] = true
				mu.Unlock()
			}
		})
	}
	for range breaks {
		time.Sleep(rand.N(5 * time.Millisecond)) // break at a random moment
		dialer.breakConn()
	}
	broken.Store(true)
	wg.Wait()
	t.Logf("%d acknowledged through %d breaks", len(acknowledged), breaks)
	require.NotEmpty(t, acknowledged)
	return acknowledged
}

// fragileDialer makes connections that the test can break.
type fragileDialer struct {
	mu   sync.Mutex
	last net.Conn
}

func (d *fragileDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = conn
	return conn, err
}

func (d *fragileDialer) breakConn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		_ = d.last.Close()
	}
}
