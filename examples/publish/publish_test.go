package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain is the program where the example starts itself as the subscriber.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "subscribe" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestThroughEmbeddedNATS(t *testing.T) { checkRun(t, "-think", "0") }

func TestThroughRedis(t *testing.T) { checkRun(t, "-think", "0", "-redis", startRedis(t)) }

var (
	arrivedLine   = regexp.MustCompile(`#(\d) (\w+) +(\w+) +\w* +trace \w+ span \w+  ← (trace \w+ span \w+)\n`)
	publishedLine = regexp.MustCompile(`publish_event  (trace \w+ span \w+)  ← trace (\w+)\n`)
)

// checkRun checks that the subscriber has seen all events, in order, and that each of its spans links to the task that published the event.
func checkRun(t *testing.T, args ...string) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), args, &out, os.Stderr))
	arrived := arrivedLine.FindAllStringSubmatch(out.String(), -1)
	published := publishedLine.FindAllStringSubmatch(out.String(), -1)
	require.Len(t, arrived, 8, out.String())
	require.Len(t, published, 8, out.String())
	for i := range arrived {
		assert.Equal(t, fmt.Sprint(i+1), arrived[i][1])
		assert.Equal(t, published[i][1], arrived[i][4], "the task that event %d links to", i+1)
		assert.Equal(t, published[0][2], published[i][2], "the trace of the agent")
	}
	assert.Equal(t, []string{"graph_execution", "start"}, arrived[0][2:4])
	assert.Equal(t, []string{"graph_execution", "end"}, arrived[7][2:4])
}

func TestBrokerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	for _, args := range [][]string{{"-redis", addr}, {"-nats", "nats://" + addr}} {
		assert.ErrorContains(t, run(t.Context(), args, io.Discard, io.Discard), "opening the broker")
	}
}

// startRedis starts a server of its own, and returns its address.
func startRedis(t *testing.T) string {
	program, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("AFTERSPAN_REQUIRE_SERVICES") == "" {
		t.Skip("redis-server is not installed")
	}
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().(*net.TCPAddr)
	require.NoError(t, l.Close())
	server := exec.Command(program, "--bind", "127.0.0.1", "--port", fmt.Sprint(addr.Port), "--save", "", "--dir", t.TempDir())
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	client := redis.NewClient(&redis.Options{Addr: addr.String()})
	defer client.Close()
	require.Eventually(t, func() bool { return client.Ping(t.Context()).Err() == nil }, 20*time.Second, 10*time.Millisecond)
	return addr.String()
}
