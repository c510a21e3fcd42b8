package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
	"github.com/afterspan/afterspan/otelmw"
)

var background = context.Background()

// mailError is a type of its own, so that the error.type in a span is a name of ours.
type mailError struct{}

func (*mailError) Error() string { return "the mail server is away" }

var errMail error = &mailError{}

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errMail }
func crash(context.Context) error   { panic("a bug") }
func quit(context.Context) error    { runtime.Goexit(); return nil }

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// newManager returns a manager with that chain for an Example. It does not log.
func newManager(chain ...core.Middleware) *core.Manager {
	return core.New(core.WithMiddleware(chain...), core.WithLogger(slog.New(slog.DiscardHandler)))
}

// newTestManager returns a manager with that chain for a test whose tasks may fail.
func newTestManager(t *testing.T, chain ...core.Middleware) *core.Manager {
	return coretest.New(t, coretest.AllowFailures(), core.WithMiddleware(chain...))
}

// inBubble runs test with a manager of that chain in a bubble: time costs nothing, and all goroutines
// have to end.
func inBubble(t *testing.T, test func(t *testing.T, tasks *core.Manager), chain ...func() core.Middleware) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var made []core.Middleware
		for _, mw := range chain {
			made = append(made, mw())
		}
		test(t, newTestManager(t, made...))
	})
}

// telemetry keeps the spans of a test.
type telemetry struct {
	exporter *tracetest.InMemoryExporter
	provider *sdktrace.TracerProvider
}

func newTelemetry() telemetry {
	exporter := tracetest.NewInMemoryExporter()
	return telemetry{exporter, sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))}
}

func (tel telemetry) middleware() core.Middleware {
	return otelmw.New(otelmw.WithTracerProvider(tel.provider))
}

// lines returns a line for each span, in the order in which they ended.
func (tel telemetry) lines() (lines []string) {
	for _, span := range tel.exporter.GetSpans() {
		line, attrs := "span "+span.Name, attribute.NewSet(span.Attributes...)
		for _, key := range []attribute.Key{"afterspan.task.attempt", "afterspan.task.outcome", "error.type"} {
			if value, ok := attrs.Value(key); ok {
				line += fmt.Sprintf(" %s=%s", key, value.String())
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (tel telemetry) print() {
	for _, line := range tel.lines() {
		fmt.Println(line)
	}
}

// checkEveryEnding checks that a middleware does not change how tasks end, whatever they do, and that
// further tasks still run.
func checkEveryEnding(t *testing.T, mw func() core.Middleware) {
	t.Helper()
	inBubble(t, func(t *testing.T, tasks *core.Manager) {
		for range 3 {
			assert.ErrorAs(t, tasks.Go(background, "crashes", crash).Wait(background), new(*core.PanicError))
			assert.ErrorIs(t, tasks.Go(background, "quits", quit).Wait(background), core.ErrGoexit)
			assert.ErrorIs(t, tasks.Go(background, "fails", fail).Wait(background), errMail)
			waits := tasks.Go(background, "waits", untilDone)
			synctest.Wait()
			waits.Cancel()
			assert.ErrorIs(t, waits.Wait(background), context.Canceled)
			assert.Equal(t, core.Cancelled, waits.Outcome())
			assert.NoError(t, tasks.Go(background, "succeeds", succeed).Wait(background))
		}
	}, mw)
}
