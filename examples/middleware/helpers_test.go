package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

var (
	errMail    = errors.New("the mail server is away")
	background = context.Background()
)

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errMail }
func crash(context.Context) error   { panic("a bug") }
func quit(context.Context) error    { runtime.Goexit(); return nil }

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// newManager returns a manager with that chain, that does not log.
func newManager(chain ...core.Middleware) *core.Manager {
	return core.New(core.WithMiddleware(chain...), core.WithLogger(slog.New(slog.DiscardHandler)))
}

// inBubble runs test with a manager of that chain, where time costs nothing, and all goroutines have to end.
func inBubble(t *testing.T, test func(t *testing.T, tasks *core.Manager), chain ...func() core.Middleware) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var made []core.Middleware
		for _, mw := range chain {
			made = append(made, mw())
		}
		tasks := newManager(made...)
		test(t, tasks)
		require.NoError(t, tasks.Close())
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
		line := "span " + span.Name
		for _, kv := range span.Attributes {
			switch kv.Key {
			case "afterspan.task.attempt", "afterspan.task.outcome", "error.type":
				line += fmt.Sprintf(" %s=%s", kv.Key, kv.Value.String())
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

// checkEveryEnding checks that a middleware changes nothing of how tasks end, whatever they do, and that tasks still run after.
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
