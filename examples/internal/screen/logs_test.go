package screen

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/core/coretest"
	"github.com/afterspan/afterspan/examples/internal/tracelog"
)

func TestTraceHandler(t *testing.T) {
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0: 0xab, 15: 1}, SpanID: trace.SpanID{0: 0xcd, 7: 1},
	}))
	var out bytes.Buffer
	log := slog.New(tracelog.Handler{Handler: newScreenHandler(&out)}).With("thread_id", "thread-1")
	log.InfoContext(t.Context(), "outside of a span")
	log.InfoContext(ctx, "within one")
	log.WithGroup("task").InfoContext(ctx, "grouped")
	assert.Equal(t, `level=INFO msg="outside of a span" thread_id=thread-1
level=INFO msg="within one" thread_id=thread-1 trace_id=ab000000 span_id=cd000000
level=INFO msg=grouped thread_id=thread-1 task.trace_id=ab000000000000000000000000000001 task.span_id=cd00000000000001
`, out.String())
}

func TestPanicSite(t *testing.T) {
	tasks := coretest.New(t, coretest.AllowFailures())
	var list []int
	var names map[string]int
	for name, bug := range map[string]func(int){
		"by the runtime": func(i int) { list[i] = 1 },
		"by a nil map":   func(i int) { names["a"] = i },
		"by a call":      func(int) { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			err := tasks.Go(t.Context(), "bug", func(context.Context) error { bug(1); return nil }).Wait(t.Context())
			var panicked *core.PanicError
			assert.ErrorAs(t, err, &panicked)
			assert.Regexp(t, regexp.MustCompile(`^logs_test\.go:\d+$`), panicSite(string(panicked.Stack)))
		})
	}
	assert.Equal(t, "unknown", panicSite("no stack"))
}
