package readme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/otelmw/linksampler"
	"github.com/afterspan/afterspan/publisher"
)

type receipt struct{}

type mailer struct{}

func (mailer) Send(context.Context, receipt) error { return nil }

var (
	mail     mailer
	tasks    = core.New()
	tracer   = noop.NewTracerProvider().Tracer("")
	r        receipt
	threadID = "t-42"
)

func reindex(context.Context) error { return nil }

// By hand.

var inFlight sync.WaitGroup

func sendReceiptByHand(ctx context.Context) {
	link := trace.LinkFromContext(ctx)
	ctx = context.WithoutCancel(ctx)
	inFlight.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		ctx, span := tracer.Start(ctx, "send_receipt", trace.WithNewRoot(), trace.WithLinks(link))
		defer span.End()
		defer func() {
			if v := recover(); v != nil {
				slog.ErrorContext(ctx, "send_receipt panicked", "value", v, "stack", string(debug.Stack()))
			}
		}()
		if err := mail.Send(ctx, r); err != nil {
			slog.ErrorContext(ctx, "send_receipt failed", "error", err, "thread_id", threadID)
		}
	})
}

func sendReceipt(ctx context.Context) {
	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { return mail.Send(ctx, r) },
		core.WithTimeout(10*time.Second), core.WithAttrs(slog.String("thread_id", threadID)))
}

// A service.

func serve(srv *http.Server, tp *sdktrace.TracerProvider) error {
	tasks := core.New(core.WithMiddleware(otelmw.New()))
	// … the handlers of srv call tasks.Go

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
		within(5*time.Second, srv.Shutdown), // no new requests
		within(15*time.Second, func(ctx context.Context) error {
			stats, err := tasks.Shutdown(ctx) // their tasks finish, or the error names them
			slog.Info("background tasks ended", "stats", stats)
			return err
		}),
		within(5*time.Second, tp.Shutdown), // the last spans leave, however long the tasks took
	)
}

func provider(exporter sdktrace.SpanExporter) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(linksampler.New(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1)))),
	)
}

func Example_handle() {
	ctx := context.Background()
	// The handle may be ignored. With it you wait, cancel, and ask.
	task := tasks.Go(ctx, "reindex", reindex)
	if err := task.Wait(ctx); err != nil {
		fmt.Println("reindex:", err)
	}
	fmt.Println(task.Outcome())
	// Output: completed
}

func Example_context() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // the request is over
	task := tasks.Go(ctx, "poll", func(ctx context.Context) error {
		// The request's end does not reach here. The task's timeout, Cancel and Shutdown do.
		<-ctx.Done()
		fmt.Println(ctx.Err() == context.DeadlineExceeded, context.Cause(ctx) == core.ErrTimeout)
		return ctx.Err()
	}, core.WithTimeout(time.Millisecond))
	_ = task.Wait(context.Background())
	fmt.Println(task.Outcome())
	// Output:
	// true true
	// timed_out
}

func Example_refused() {
	// Four run at a time, and a hundred wait in order. The next is refused: its handle is done already.
	tasks := core.New(core.WithLimit(4, 100))
	_ = tasks.Close()
	task := tasks.Go(context.Background(), "too_late", reindex)
	fmt.Println(task.Outcome(), errors.Is(task.Err(), core.ErrClosed))
	// Output: rejected true
}

func Example_keyed() {
	ctx := context.Background()
	// Tasks of one conversation run in order. Other conversations are not held up.
	conversations := &core.Keyed{PerKey: 100} // and no more than 100 of one conversation at a time
	task := tasks.Go(ctx, "reindex", reindex, core.WithKey(conversations, threadID))
	_ = task.Wait(ctx)
	fmt.Println(task.Outcome())
	// Output: completed
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
	// broker is an adapter, such as redispub.New(client, "agent.events").
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

func Example_middleware() {
	// Retry runs a task up to three times.
	retry := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			var err error
			for range 3 {
				err = next(ctx, t)
				if err == nil || ctx.Err() != nil || errors.As(err, new(*core.PanicError)) {
					break
				}
			}
			return err
		}
	})
	tasks := core.New(core.WithMiddleware(otelmw.New(), retry))
	// end
	attempts := 0
	task := tasks.Go(context.Background(), "flaky", func(context.Context) error {
		if attempts++; attempts < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	_ = task.Wait(context.Background())
	fmt.Println(task.Outcome(), "after", attempts)
	// Output: completed after 3
}

// Snapshot gives a task the user's session as it was at the spawn: the request goes on to change it.
func Snapshot() core.Middleware {
	return core.Middleware{Spawn: func(ctx context.Context, _ *core.Task) context.Context {
		if s, ok := ctx.Value(sessionKey{}).(*Session); ok {
			ctx = context.WithValue(ctx, sessionKey{}, s.Clone())
		}
		return ctx
	}}
}

// Session is what a user has done so far.
type Session struct{ Cart []string }

// Clone returns a copy of its own.
func (s *Session) Clone() *Session { return &Session{Cart: slices.Clone(s.Cart)} }

type sessionKey struct{}

func ExampleSnapshot() {
	tasks := core.New(core.WithMiddleware(Snapshot()))
	session := &Session{Cart: []string{"tea"}}
	ctx := context.WithValue(context.Background(), sessionKey{}, session)

	paid := make(chan struct{})
	task := tasks.Go(ctx, "send_receipt", func(ctx context.Context) error {
		<-paid
		fmt.Println(ctx.Value(sessionKey{}).(*Session).Cart)
		return nil
	})
	session.Cart = nil
	close(paid)
	_ = task.Wait(ctx)
	// Output: [tea]
}

// PlaceOrder is the code under test.
func PlaceOrder(ctx context.Context, tasks *core.Manager, id string) {
	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { return mail.Send(ctx, r) },
		core.WithAttrs(slog.String("order", id)))
}

func TestPlaceOrder(t *testing.T) {
	var rec coretest.Recorder
	tasks := coretest.New(t, core.WithMiddleware(rec.Middleware()))
	PlaceOrder(t.Context(), tasks, "o-1") // starts a task and returns

	_ = tasks.Wait(t.Context())
	sent := rec.Tasks("send_receipt", slog.String("order", "o-1"))
	if len(sent) != 1 || sent[0].Outcome() != core.Completed {
		t.Errorf("the receipts of the order: %v", sent)
	}
}

// Outcomes counts how tasks end, also those whose goroutine ends by runtime.Goexit.
func Outcomes(count func(name, outcome string)) core.Middleware {
	return core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			err := core.ErrGoexit // stands if next does not return
			defer func() { count(t.Name(), t.OutcomeOf(err).String()) }()
			err = next(ctx, t)
			return err
		}
	})
}

func ExampleOutcomes() {
	tasks := core.New(core.WithMiddleware(Outcomes(func(name, outcome string) { fmt.Println(name, outcome) })))
	_ = tasks.Go(context.Background(), "reindex", reindex).Wait(context.Background())
	quits := func(context.Context) error { runtime.Goexit(); return nil }
	_ = tasks.Go(context.Background(), "quits", quits).Wait(context.Background())
	// Output:
	// reindex completed
	// quits failed
}
