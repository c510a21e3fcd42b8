package tailsampling

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"gopkg.in/yaml.v3"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// The spans of the two traces of one task.
var (
	request = []string{"request", "spawn send_receipt"}
	task    = []string{"send_receipt"}
	both    = slices.Concat(request, task)
)

// The policies are those of docs/sampling.md, read from there.
func TestWhatTheProcessorKeeps(t *testing.T) {
	simple, byKind := policies(t)
	for name, test := range map[string]struct {
		config   map[string]any
		takes    time.Duration
		err      error
		requests time.Duration // how long the request takes
		opts     []otelmw.Option
		kept     []string
	}{
		"a failing pair is kept whole":             {config: simple, err: errTask, kept: both},
		"also where the task fails after a while":  {config: simple, takes: 4 * time.Second, err: errTask, kept: both},
		"a quick request is not kept as slow":      {config: simple, takes: 3 * time.Second, kept: task},
		"nor is it with a task that takes an hour": {config: simple, takes: time.Hour, kept: task},
		"a slow request is kept, its task is not":  {config: simple, requests: 2 * time.Second, kept: request},
		"a quick pair is not kept":                 {config: simple},
		"limit: a failure after the hold":          {config: simple, takes: 6 * time.Second, err: errTask, kept: task},
		"limit: without a hold":                    {config: simple, err: errTask, kept: task, opts: []otelmw.Option{otelmw.WithSpawnSpanHold(0)}},
		"by kind: a failing pair is kept whole":    {config: byKind, err: errTask, kept: both},
		"by kind: a slow request is kept":          {config: byKind, requests: 2 * time.Second, kept: request},
		"by kind: a task that may take its time":   {config: byKind, takes: 10 * time.Second},
		"by kind: a task that takes too long":      {config: byKind, takes: 30 * time.Second, kept: task},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := startCollector(t, test.config)
				tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)), core.WithMiddleware(
					otelmw.New(append(test.opts, otelmw.WithTracerProvider(c.traces))...)))
				ctx, span := c.traces.Tracer("service").Start(t.Context(), "request",
					trace.WithAttributes(attribute.String("http.route", "/orders")))
				tasks.Go(ctx, "send_receipt", func(context.Context) error { time.Sleep(test.takes); return test.err })
				time.Sleep(test.requests)
				span.End()
				require.NoError(t, tasks.Wait(t.Context()))
				assert.ElementsMatch(t, test.kept, c.kept(t))
			})
		})
	}
}

var errTask = errors.New("mailbox full")

// policies returns the two configurations of docs/sampling.md: the simple one, and the one with a policy
// for each kind of span in place of "slow".
func policies(t *testing.T) (simple, byKind map[string]any) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/sampling.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	require.Len(t, blocks, 2)
	errorsOnly, _, found := strings.Cut(string(blocks[0][1]), "      - name: slow\n")
	require.True(t, found)
	return parse(t, string(blocks[0][1])), parse(t, errorsOnly+string(blocks[1][1]))
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var config struct {
		Processors map[string]map[string]any
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &config))
	return config.Processors["tail_sampling"]
}

// A collector is an SDK, the processor, and what comes out of it.
type collector struct {
	traces    *sdktrace.TracerProvider
	processor processor.Traces
	sink      *consumertest.TracesSink
}

func startCollector(t *testing.T, settings map[string]any) *collector {
	t.Helper()
	factory := tailsamplingprocessor.NewFactory()
	config := factory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(settings).Unmarshal(config))
	c := &collector{sink: new(consumertest.TracesSink)}
	var err error
	c.processor, err = factory.CreateTraces(t.Context(), processortest.NewNopSettings(factory.Type()), config, c.sink)
	require.NoError(t, err)
	require.NoError(t, c.processor.Start(t.Context(), componenttest.NewNopHost()))
	exporter, err := otlptrace.New(t.Context(), client{c.processor})
	require.NoError(t, err)
	c.traces = sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	return c
}

// kept returns the names of the spans that are kept, once all has been decided.
func (c *collector) kept(t *testing.T) (names []string) {
	t.Helper()
	time.Sleep(time.Minute)
	require.NoError(t, c.processor.Shutdown(t.Context()))
	for _, traces := range c.sink.AllTraces() {
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					names = append(names, span.Name())
				}
			}
		}
	}
	return names
}

// client hands spans to the processor in the form in which they would come over the network.
type client struct{ processor processor.Traces }

func (client) Start(context.Context) error { return nil }
func (client) Stop(context.Context) error  { return nil }

func (c client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	content, err := proto.Marshal(&collectortrace.ExportTraceServiceRequest{ResourceSpans: spans})
	if err != nil {
		return err
	}
	traces, err := new(ptrace.ProtoUnmarshaler).UnmarshalTraces(content)
	if err != nil {
		return err
	}
	return c.processor.ConsumeTraces(ctx, traces)
}
