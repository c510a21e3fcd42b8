package readme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/otelmw/linksampler"
)

type receipt struct{}

type mailer struct{}

func (mailer) Send(context.Context, receipt) error { return nil }

var (
	mail     mailer
	tasks    = core.New()
	tracer   trace.Tracer
	r        receipt
	threadID = "t-42"
)

func reindex(context.Context) error { return nil }

// By hand.

var inFlight sync.WaitGroup

func sendReceiptByHand(ctx context.Context) {
	link := trace.LinkFromContext(ctx)
	ctx = context.WithoutCancel(ctx)
	inFlight.Add(1)
	go func() {
		defer inFlight.Done()
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
	}()
}

func sendReceipt(ctx context.Context) {
	tasks.Go(ctx, "send_receipt", func(ctx context.Context) error { return mail.Send(ctx, r) },
		core.WithTimeout(10*time.Second), core.WithAttrs(slog.String("thread_id", threadID)))
}

// A service.

func serve(srv *http.Server, tp *sdktrace.TracerProvider) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	tasks := core.New(core.WithMiddleware(otelmw.New()))
	go srv.ListenAndServe() // its handlers call tasks.Go
	<-ctx.Done()

	within := func(d time.Duration, shutdown func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		return shutdown(ctx)
	}
	return errors.Join(
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
	// Four at a time, a hundred waiting in order, and the next is refused: its handle is done already.
	tasks := core.New(core.WithLimit(4, 100))
	_ = tasks.Close()
	task := tasks.Go(context.Background(), "too_late", reindex)
	fmt.Println(task.Outcome(), errors.Is(task.Err(), core.ErrClosed))
	// Output: rejected true
}

func Example_middleware() {
	// Retry runs a task up to three times.
	retry := core.MiddlewareFunc(func(next core.Handler) core.Handler {
		return func(ctx context.Context, t *core.Task) error {
			var err error
			for range 3 {
				if err = next(ctx, t); err == nil || ctx.Err() != nil {
					return err
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

// Tenant carries the tenant of a request into its tasks' logs.
type Tenant struct{ Log *slog.Logger }

func (m Tenant) Spawn(ctx context.Context, t *core.Task) context.Context {
	tenant, _ := ctx.Value(tenantKey{}).(string) // the request is still here
	return context.WithValue(ctx, loggerKey{}, m.Log.With("tenant", tenant, "task", t.Name()))
}

func (m Tenant) Wrap(next core.Handler) core.Handler {
	return func(ctx context.Context, t *core.Task) error {
		err := next(ctx, t)
		logger := ctx.Value(loggerKey{}).(*slog.Logger)
		logger.Info("ended", "outcome", t.OutcomeOf(err).String())
		return err
	}
}

type (
	tenantKey struct{}
	loggerKey struct{}
)

func ExampleTenant() {
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: noTime}))
	tasks := core.New(core.WithMiddleware(Tenant{Log: log}))
	ctx := context.WithValue(context.Background(), tenantKey{}, "acme")
	_ = tasks.Go(ctx, "reindex", reindex).Wait(ctx)
	// Output: level=INFO msg=ended tenant=acme task=reindex outcome=completed
}
