package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
)

// safeBuffer may be read while others, a request that was cut off say, still log.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// inOrderOf checks that the lines of the log which say one of words say them in that order.
func inOrderOf(t *testing.T, log string, words ...string) {
	t.Helper()
	var said []string
	for line := range strings.Lines(log) {
		for _, word := range words {
			if strings.Contains(line, "msg="+word) || strings.Contains(line, `msg="`+word) {
				said = append(said, word)
			}
		}
	}
	assert.Equal(t, words, said, log)
}

var atTheStop = []string{"receipt sent", "shutdown of background tasks ended", "mail closed", "exporter stopped"}

// fx makes what it is asked for first, but for what that depends on.
func TestStopOrderIsThatOfDependencies(t *testing.T) {
	for name, invoke := range map[string]any{
		"tasks first":    func(*core.Manager, *mail, trace.TracerProvider) {},
		"mail first":     func(*mail, *core.Manager, trace.TracerProvider) {},
		"provider first": func(trace.TracerProvider, *mail, *core.Manager) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log safeBuffer
				var o *orders
				app := fxtest.New(t, fx.Invoke(invoke), fx.Populate(&o), fx.Provide(newOrders),
					background(options{mail: time.Second, stopTimeout: time.Minute}, &log))
				app.RequireStart()
				began := time.Now()
				order(t, o)
				app.RequireStop()
				assert.Equal(t, time.Second, time.Since(began))
				inOrderOf(t, log.String(), atTheStop...)
				assert.Equal(t, 4, strings.Count(log.String(), "msg=span"), "of the request, the spawn, the task and the mail: none is lost")
			})
		})
	}
}

// order calls the handler.
func order(t *testing.T, o *orders) {
	t.Helper()
	answer := httptest.NewRecorder()
	o.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/orders?to=ada@example.com", nil))
	assert.Equal(t, http.StatusAccepted, answer.Code)
}

// A task that ignores its context is named by Stop, and costs the others neither their spans nor their end.
func TestTaskThatDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log safeBuffer
		var tasks *core.Manager
		var o *orders
		app := fxtest.New(t, fx.Populate(&tasks, &o), fx.Provide(newOrders),
			background(options{mail: time.Second, stopTimeout: 16 * time.Second}, &log))
		app.RequireStart()
		release := make(chan struct{})
		stuck := tasks.Go(context.Background(), "stuck", func(context.Context) error { <-release; return nil })
		order(t, o)

		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), app.StopTimeout())
		defer cancel()
		var left *core.ShutdownError
		require.ErrorAs(t, app.Stop(ctx), &left)
		require.Len(t, left.Remaining, 1)
		assert.Equal(t, "stuck", left.Remaining[0].Name)
		assert.Empty(t, left.Cancelled)
		assert.Equal(t, 12*time.Second, time.Since(began))
		inOrderOf(t, log.String(), atTheStop...)
		assert.Equal(t, 5, strings.Count(log.String(), "msg=span"), "that of the task that does not stop is ended, too")
		close(release)
		assert.NoError(t, stuck.Wait(t.Context()))
	})
}

// What has been started by then is stopped, and takes no tasks.
func TestStartThatFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	var log safeBuffer
	var tasks *core.Manager
	app := fxtest.New(t, fx.Populate(&tasks), service(options{addr: taken.Addr().String(), stopTimeout: time.Minute}, &log))
	assert.ErrorIs(t, app.Start(t.Context()), syscall.EADDRINUSE)
	inOrderOf(t, log.String(), atTheStop[2:]...) // no task ran, so the shutdown is quiet
	task := tasks.Go(t.Context(), "late", func(context.Context) error { return nil })
	assert.ErrorIs(t, task.Err(), core.ErrClosed)
}

// A request that does not end uses up the server's share, and no more.
func TestRequestThatDoesNotEnd(t *testing.T) {
	var log safeBuffer
	var s *server
	app := fxtest.New(t, fx.Populate(&s), service(options{addr: "127.0.0.1:0", stopTimeout: time.Minute}, &log))
	app.RequireStart()
	conn, err := net.Dial("tcp", servingAddr(t, log.String()))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\n\r\n"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1)) // it is being handled: the server asks for the body
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, app.Stop(ctx), context.DeadlineExceeded)
	assert.NoError(t, ctx.Err(), "there was time left")
	_, err = io.Copy(io.Discard, conn)
	assert.NoError(t, err, "the connection was closed")
	// The receipt may be out by then, and the shutdown of the tasks quiet.
	inOrderOf(t, log.String(), append([]string{"server stopped"}, atTheStop[2:]...)...)
}

// A value group comes in any order. The chain is always the same.
func TestChainIsInOrder(t *testing.T) {
	var called []string
	mark := func(name string) core.Middleware {
		return core.MiddlewareFunc(func(next core.Handler) core.Handler {
			return func(ctx context.Context, task *core.Task) error {
				called = append(called, name)
				return next(ctx, task)
			}
		})
	}
	for range 10 {
		called = nil
		var all []placed
		app := fxtest.New(t,
			fx.Provide(
				func() placedOut { return placedOut{Middleware: placed{innermost, mark("inner")}} },
				func() placedOut { return placedOut{Middleware: placed{outermost, mark("outer")}} },
			),
			fx.Invoke(fx.Annotate(func(in []placed) { all = in }, fx.ParamTags(`group:"middlewares"`))))
		require.NoError(t, app.Err())
		tasks := coretest.New(t, core.WithMiddleware(inOrder(all)...))
		task := tasks.Go(t.Context(), "task", func(context.Context) error { return nil })
		require.NoError(t, task.Wait(t.Context()))
		assert.Equal(t, []string{"outer", "inner"}, called)
	}
}

func TestShareWithoutADeadline(t *testing.T) {
	ctx, cancel := share(t.Context(), 1, 2)
	defer cancel()
	_, ok := ctx.Deadline()
	assert.False(t, ok)
}
