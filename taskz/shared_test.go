package taskz_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/taskz"
)

// Many readers, and bad ones.

// counted counts how often it is resolved.
type counted struct{ n *atomic.Int64 }

func (c counted) LogValue() slog.Value { return slog.Int64Value(c.n.Add(1)) }

func TestReadersShareASnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var n atomic.Int64
		s := newService(t)
		s.start("send", during(time.Minute), core.WithAttrs(slog.Any("n", counted{&n})))
		synctest.Wait()
		for range 3 {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() { s.get("?format=json") })
			}
			wg.Wait()
			time.Sleep(time.Second)
		}
		require.EqualValues(t, 3, n.Load(), "once a second, for all")
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// hangingTraceID is an option whose function blocks the first n times, until release is closed.
func hangingTraceID(n int64, release <-chan struct{}) taskz.Option {
	var calls atomic.Int64
	return taskz.WithTraceID(func(context.Context, *core.Task) string {
		if calls.Add(1) <= n {
			<-release
		}
		return "trace"
	})
}

// A trace function that hangs holds up the readers of that task, for ten seconds, and nobody else: no lock is held.
func TestTraceIDThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newService(t, hangingTraceID(1, release))
		s.start("send", during(time.Hour))
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(func() { s.get("?format=json") }) // it hangs
		synctest.Wait()
		began := time.Now()
		w := s.get("?format=json")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Contains(t, w.Body.String(), "WithTraceID")

		s.run("other", succeed) // tasks end as ever
		require.Equal(t, []string{"other"}, names(at(s.json("?limit=9"), "ended", "completed")))
		close(release)
		wg.Wait()
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// panicking panics in a place where slog does not recover.
type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("MarshalJSON") }

func TestAttributeThatPanicsInThePage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		s.start("send", during(time.Minute), core.WithAttrs(slog.Any("x", panicking{})))
		synctest.Wait()
		require.Equal(t, "taskz_test.panicking", at(first(t, s.json("")["running"]), "context", "x"))
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// Different questions have a bound, too. The answers that are made are given up for new ones.
func TestManyDifferentReaders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newService(t)
		for i := range 200 {
			require.Equal(t, http.StatusOK, s.get(fmt.Sprintf("?format=json&q=word-%d", i)).Code)
		}
	})
}

// While too many different questions hang, further ones are told so at once.
func TestTooManyDifferentReaders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newService(t, hangingTraceID(1<<20, release))
		s.start("send", during(time.Hour))
		synctest.Wait()
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() { s.get(fmt.Sprintf("?format=json&limit=%d", 1+i)) })
		}
		synctest.Wait()
		w := s.get("?format=json&limit=100")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Contains(t, w.Body.String(), "too many")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		close(release)
		wg.Wait()
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// A reader that goes away while the answer is made doesn't spoil it for the others.
func TestReaderThatGoesAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newService(t, hangingTraceID(1, release))
		s.start("send", during(time.Hour))
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/tasks/?format=json", nil))
		})
		synctest.Wait()
		wg.Go(func() {
			require.Equal(t, http.StatusOK, s.get("?format=json").Code)
		})
		synctest.Wait()
		leave()
		close(release)
		wg.Wait()
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// The page of a service with 100,000 running tasks is small, says that it cut, and finds each of them.
func TestVeryManyTasks(t *testing.T) {
	const n = 100_000
	bubble(t, func(t *testing.T) {
		s := newService(t, core.WithLimit(10, -1))
		release := make(chan struct{})
		for i := range n {
			s.start("send", func(context.Context) error { <-release; return nil }, order(fmt.Sprint("o-", i)))
		}
		synctest.Wait()
		w := s.get("?format=json")
		require.Less(t, w.Body.Len(), 200<<10)
		list := s.json("")["running"]
		require.EqualValues(t, n, at(list, "total"))
		require.EqualValues(t, n, at(list, "matching"))
		require.Len(t, at(list, "tasks"), 200)
		require.EqualValues(t, 1, first(t, list)["id"], "the oldest")
		found := s.json("?q=order_id%3Do-99999")["running"]
		require.EqualValues(t, 1, at(found, "matching"))
		require.EqualValues(t, n, first(t, found)["id"])
		close(release)
		require.NoError(t, s.tasks.Wait(t.Context()))
	})
}

// A reader that does not take its answer is dropped, and a connection that is used again has no deadline
// left from the answer before.
func TestSlowReader(t *testing.T) {
	page := taskz.New()
	tasks := core.New(core.WithMiddleware(page.Middleware()), core.WithLogger(slog.New(slog.DiscardHandler)))
	var deadlines deadlineConns
	server := httptest.NewUnstartedServer(page.Handler(tasks))
	server.Listener = &deadlineListener{server.Listener, &deadlines}
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for range 2 {
		_, err = fmt.Fprintf(conn, "GET /tasks/ HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		_, err = response.Body.Read(make([]byte, 1<<20))
		require.Condition(t, func() bool { return err == nil || strings.Contains(err.Error(), "EOF") })
		require.NoError(t, response.Body.Close())
	}
	server.Close() // the handlers have returned
	seen := deadlines.seen()
	require.NotEmpty(t, seen)
	require.Less(t, time.Until(seen[0]), time.Minute)
	require.Positive(t, time.Until(seen[0]))
	require.True(t, seen[1].IsZero(), "it is taken back")
}

// deadlineConns are the write deadlines that were set on connections.
type deadlineConns struct {
	mu  sync.Mutex
	all []time.Time
}

func (d *deadlineConns) seen() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]time.Time(nil), d.all...)
}

type deadlineListener struct {
	net.Listener
	seen *deadlineConns
}

func (l *deadlineListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &deadlineConn{c, l.seen}, err
}

type deadlineConn struct {
	net.Conn
	seen *deadlineConns
}

func (c *deadlineConn) SetWriteDeadline(at time.Time) error {
	c.seen.mu.Lock()
	c.seen.all = append(c.seen.all, at)
	c.seen.mu.Unlock()
	return c.Conn.SetWriteDeadline(at)
}
