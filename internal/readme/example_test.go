package readme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/otelmw/linksampler"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/taskz"
)

type letter struct{}

type mailer struct{}

func (mailer) Send(context.Context, letter) error { return nil }

var (
	mail     mailer
	tasks    = core.New()
	tracer   = noop.NewTracerProvider().Tracer("")
	receipt  letter
	threadID = "t-42"
	orderID  = "o-7"
)

func reindex(context.Context) error { return nil }

// By hand.

var inFlight sync.WaitGroup

// inFlight is a sync.WaitGroup of the program, and tracer its tracer.
func sendReceiptByHand(ctx context.Context) {
	link := trace.LinkFromContext(ctx)
	ctx = context.WithoutCancel(ctx)
	inFlight.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		ctx, span := tracer.Start(ctx, "send_receipt", trace.WithNewRoot(), trace.WithLinks(link))
		defer span.End()
		defer func() {
			if v := recover(); v != nil {
				slog.ErrorContext(ctx, "send_receipt panicked", "value", v, "stack", string(debug.Stack()))
			}
		}()
		if err := mail.Send(ctx, receipt); err != nil {
			span.SetStatus(codes.Error, err.Error())
			slog.ErrorContext(ctx, "send_receipt failed", "error", err, "order_id", orderID)
		}
	})
}

func sendReceipt(ctx context.Context) {
	// In a handler. The request ends, and the task goes on.
	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { return mail.Send(ctx, receipt) },
		core.WithTimeout(3*time.Second), core.WithAttrs(slog.String("order_id", orderID)))
}

func Example_fromAgentflow() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	sendReceipt := func(_ context.Context, order string) error { fmt.Println("receipt of", order); return nil }
	order, ctx := "o-7", context.Background()
	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { return sendReceipt(ctx, order) },
		core.WithTimeout(3*time.Second), core.WithAttrs(slog.String("thread_id", threadID)))
	func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		stats, err := tasks.Shutdown(ctx)
		fmt.Println(stats.CompletedTasks, err)
	}()
	// Output:
	// receipt of o-7
	// 1 <nil>
}

func Example_new() {
	// "github.com/afterspan/afterspan/core" and ".../otelmw"
	tasks := core.New(core.WithMiddleware(otelmw.New())) // once, when the program starts; see Shutdown below
	fmt.Println(tasks.Stats().Created)
	// Output: 0
}

// A service.

// serve runs srv, whose handlers start tasks, until the process is told to stop.
func serve(srv *http.Server, tasks *core.Manager, tp *sdktrace.TracerProvider) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stop() // a second signal ends the process

	within := func(d time.Duration, shutdown func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		return shutdown(ctx)
	}
	return errors.Join(err,
		within(8*time.Second, srv.Shutdown), // no new requests; an unused connection may take 6 s
		within(15*time.Second, func(ctx context.Context) error {
			_, err := tasks.Shutdown(ctx) // tasks finish, or the error names them
			return err
		}),
		within(5*time.Second, tp.Shutdown), // the last spans leave, however long the tasks took
	)
}

func provider(exporter sdktrace.SpanExporter) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(20_000)),
		sdktrace.WithSampler(linksampler.New(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1)))),
	)
}

func Example_handle() {
	ctx := context.Background()
	task := tasks.Go(ctx, "reindex", reindex)
	if err := task.Wait(ctx); err != nil {
		fmt.Println("reindex:", err)
	}
	fmt.Println(task.Outcome())
	// Output: completed
}

func Example_refused() {
	// Four run at a time, and a hundred wait in order. The next is refused: its handle is done already.
	tasks := core.New(core.WithLimit(4, 100))
	_ = tasks.Close()
	task := tasks.Go(context.Background(), "too_late", reindex)
	fmt.Println(task.Outcome(), errors.Is(task.Err(), core.ErrClosed))
	// Output: rejected true
}

func Example_page() {
	defer slog.SetDefault(slog.Default())
	mux := http.NewServeMux()
	page := taskz.New(taskz.WithTraceID(otelmw.TraceID), taskz.WithTraceURL("http://localhost:16686/trace/{trace_id}"))
	slog.SetDefault(slog.New(page.LogHandler(slog.NewJSONHandler(os.Stderr, nil)))) // the last lines of each task
	tasks := core.New(core.WithMiddleware(otelmw.New(), page.Middleware()))
	mux.Handle("/debug/tasks/", page.Handler(tasks)) // on the mux that has pprof: it shows attributes and stacks

	<-tasks.Go(context.Background(), "reindex", reindex).Done()
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/debug/tasks/1", nil))
	fmt.Println(answer.Code, strings.Contains(answer.Body.String(), "completed"))
	// Output: 200 true
}

func Example_keyed() {
	ctx := context.Background()
	tasks := core.New()
	// Tasks of one conversation run in order. Other conversations are not held up.
	conversations := &core.Keyed{PerKey: 100} // a hundred of one conversation may be unfinished; the next is refused
	tasks.Go(ctx, "reindex", reindex, core.WithKey(conversations, threadID))
	_ = tasks.Wait(ctx)
	fmt.Println(tasks.Stats().Completed)
	// Output: 1
}

func Example_events() {
	ctx := context.Background()
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	failures := 1
	broker := publisher.Func(func(ctx context.Context, event publisher.Event) error {
		if failures--; failures >= 0 {
			return errors.New("the broker is away")
		}
		handle(ctx, event)
		return nil
	})
	// broker is an adapter, such as redispub.New(client, "agent.events"). untilDelivered is your retry.
	events := publisher.NewOrdered(tasks, broker, publisher.WithRetry(untilDelivered))

	events.Go(ctx, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress, NodeName: "search",
		ThreadID: threadID, Content: "read 42 pages",
	}, core.WithTimeout(time.Minute)) // or an event that the broker never takes may hold up its thread for ever
	events.Go(ctx, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeResult, NodeName: "search",
		ThreadID: threadID, Content: "found 3",
	})
	_, _ = tasks.Shutdown(ctx)
	// Output:
	// search read 42 pages
	// search found 3
}

// untilDelivered tries again, less and less often, until the event's task ends or the broker refuses the event for good. A library
// for retries does it with more care.
func untilDelivered(ctx context.Context, publish func(context.Context) error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second) // a connection may die in silence
		err := publish(attempt)
		cancel()
		if err == nil || publisher.IsPermanent(err) {
			return err // an event that is too large, for example; the next one of its thread goes on
		}
		slog.WarnContext(ctx, "event not delivered yet", "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func handle(ctx context.Context, event publisher.Event) {
	_, span := tracer.Start(ctx, "handle "+string(event.Kind), trace.WithNewRoot(),
		trace.WithLinks(trace.Link{SpanContext: event.SpanContext()}))
	defer span.End()
	fmt.Println(event.NodeName, event.Content)
}

// PlaceOrder is the code under test.
func PlaceOrder(ctx context.Context, tasks *core.Manager, id string) {
	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { return mail.Send(ctx, receipt) },
		core.WithAttrs(slog.String("order_id", id)))
}

func TestPlaceOrder(t *testing.T) {
	var rec coretest.Recorder
	tasks := coretest.New(t, core.WithMiddleware(rec.Middleware()))
	PlaceOrder(t.Context(), tasks, "o-1") // starts a task and returns

	_ = tasks.Wait(t.Context())
	sent := rec.Tasks("send_receipt", slog.String("order_id", "o-1"))
	if len(sent) != 1 || sent[0].Outcome() != core.Completed {
		t.Errorf("want one receipt, completed; got %v", sent)
	}
}

// Fresh refuses tasks that have waited in the queue for so long that nobody needs them any more.
func Fresh(longest time.Duration) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			if waited := t.StartedAt().Sub(t.CreatedAt()); waited > longest {
				return fmt.Errorf("%w: it waited for %v", core.ErrRejected, waited)
			}
			return next(ctx, t)
		}
	})
}

func TestFreshRefusesTasksThatWaitedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tasks := coretest.New(t, core.WithLimit(1, 2), core.WithMiddleware(Fresh(time.Minute)))
		sleep := func(context.Context) error { time.Sleep(time.Minute); return nil }
		tasks.Go(t.Context(), "first", sleep)
		fresh, stale := tasks.Go(t.Context(), "fresh", sleep), tasks.Go(t.Context(), "stale", sleep)
		require.NoError(t, fresh.Wait(t.Context()))
		require.ErrorIs(t, stale.Wait(t.Context()), core.ErrRejected)
		require.Equal(t, core.Rejected, stale.Outcome())
	})
}
