package linksampler_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/otelmw/linksampler"
)

var (
	tenPercent = sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1))
	always     = sdktrace.ParentBased(sdktrace.AlwaysSample())
	never      = sdktrace.ParentBased(sdktrace.NeverSample())
)

func provider(s sdktrace.Sampler, opts ...sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(append(opts, sdktrace.WithSampler(s), sdktrace.WithResource(resource.Empty()))...)
}

func spanContext(n byte, flags trace.TraceFlags, remote bool) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{n}, SpanID: trace.SpanID{n}, TraceFlags: flags, Remote: remote,
	})
}

func linkTo(scs ...trace.SpanContext) trace.SpanStartOption {
	var links []trace.Link
	for _, sc := range scs {
		// With attributes, since the SDK drops an invalid link itself only if it has none.
		links = append(links, trace.Link{SpanContext: sc, Attributes: []attribute.KeyValue{attribute.Int("n", 1)}})
	}
	return trace.WithLinks(links...)
}

// A sampler that goes by trace id would keep both of 1 % of the pairs.
func TestAPairIsSampledTogether(t *testing.T) {
	for name, kind := range map[string]struct {
		spawner func(trace.Tracer) trace.SpanContext
		pairs   int
		share   float64
	}{
		"spawner of this process": {func(tracer trace.Tracer) trace.SpanContext {
			_, span := tracer.Start(context.Background(), "agent")
			return span.SpanContext()
		}, 100_000, 0.1},
		"child of this process": {func(tracer trace.Tracer) trace.SpanContext {
			ctx, _ := tracer.Start(context.Background(), "agent")
			_, span := tracer.Start(ctx, "spawn job")
			return span.SpanContext()
		}, 100_000, 0.1},
		"remote":           {func(trace.Tracer) trace.SpanContext { return spanContext(1, trace.FlagsSampled, true) }, 10_000, 1},
		"remote unsampled": {func(trace.Tracer) trace.SpanContext { return spanContext(1, 0, true) }, 10_000, 0},
		"unsampled":        {func(trace.Tracer) trace.SpanContext { return spanContext(1, 0, false) }, 10_000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tracer := provider(linksampler.New(tenPercent)).Tracer("test")
			agree, sampled := 0, 0
			for range kind.pairs {
				spawner := kind.spawner(tracer)
				_, task := tracer.Start(context.Background(), "job", trace.WithNewRoot(), linkTo(spawner))
				if task.SpanContext().IsSampled() == spawner.IsSampled() {
					agree++
				}
				if task.SpanContext().IsSampled() {
					sampled++
					assert.True(t, task.IsRecording())
				}
			}
			assert.Equal(t, kind.pairs, agree)
			share := float64(sampled) / float64(kind.pairs)
			if kind.share == math.Trunc(kind.share) {
				assert.InDelta(t, kind.share, share, 0)
			} else {
				assert.InDelta(t, kind.share, share, 0.005)
			}
		})
	}
}

// The same by way of the whole: a manager, its middleware, and the SDK.
func TestATaskIsSampledWithItsSpawner(t *testing.T) {
	const pairs = 2000
	recorder := tracetest.NewSpanRecorder()
	tp := provider(linksampler.New(tenPercent), sdktrace.WithSpanProcessor(recorder))
	for name, opts := range map[string][]otelmw.Option{"": nil, "without spawn span": {otelmw.WithoutSpawnSpan()}} {
		t.Run("link "+name, func(t *testing.T) {
			recorder.Reset()
			m := core.New(core.WithMiddleware(otelmw.New(append(opts, otelmw.WithTracerProvider(tp))...)))
			want := map[string]bool{}
			for range pairs {
				ctx, agent := tp.Tracer("service").Start(context.Background(), "agent")
				if agent.SpanContext().IsSampled() {
					want[agent.SpanContext().SpanID().String()] = true
				}
				m.Go(ctx, "job", func(ctx context.Context) error {
					assert.Equal(t, agent.SpanContext().IsSampled(), trace.SpanContextFromContext(ctx).IsSampled())
					return nil
				})
				agent.End()
			}
			require.NoError(t, m.Wait(t.Context()))
			got := map[string]bool{}
			for _, s := range recorder.Ended() {
				for _, kv := range s.Attributes() {
					if kv.Key == "afterspan.spawner.span_id" {
						got[kv.Value.AsString()] = true
					}
				}
			}
			assert.Equal(t, want, got)
			assert.NotEmpty(t, got)
		})
	}
}

// One sampled link is enough: whoever comes from there finds the span.
func TestLinks(t *testing.T) {
	sampled, unsampled := spanContext(1, trace.FlagsSampled, false), spanContext(2, 0, false)
	halfTrace := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{3}, TraceFlags: trace.FlagsSampled})
	halfSpan := trace.NewSpanContext(trace.SpanContextConfig{SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled})
	for name, test := range map[string]struct {
		links []trace.SpanContext
		root  sdktrace.Sampler
		want  bool
	}{
		"sampled":                          {[]trace.SpanContext{sampled}, never, true},
		"unsampled":                        {[]trace.SpanContext{unsampled}, always, false},
		"several, the last sampled":        {[]trace.SpanContext{unsampled, unsampled, sampled}, never, true},
		"several, the first sampled":       {[]trace.SpanContext{sampled, unsampled}, never, true},
		"several, none sampled":            {[]trace.SpanContext{unsampled, unsampled}, always, false},
		"no link: the wrapped one's, yes":  {nil, always, true},
		"no link: the wrapped one's, no":   {nil, never, false},
		"invalid: the wrapped one's, yes":  {[]trace.SpanContext{{}, halfTrace, halfSpan}, always, true},
		"invalid: the wrapped one's, no":   {[]trace.SpanContext{{}, halfTrace, halfSpan}, never, false},
		"invalid beside an unsampled one":  {[]trace.SpanContext{halfTrace, halfSpan, unsampled}, always, false},
		"unsampled beside an invalid one":  {[]trace.SpanContext{unsampled, halfTrace, halfSpan}, always, false},
		"invalid beside a sampled one":     {[]trace.SpanContext{{}, sampled}, never, true},
		"remote":                           {[]trace.SpanContext{spanContext(1, trace.FlagsSampled, true)}, never, true},
		"remote unsampled":                 {[]trace.SpanContext{spanContext(1, 0, true)}, always, false},
		"other flags do not count":         {[]trace.SpanContext{spanContext(1, trace.FlagsRandom, false)}, always, false},
		"other flags beside it do no harm": {[]trace.SpanContext{spanContext(1, trace.FlagsRandom|trace.FlagsSampled, false)}, never, true},
	} {
		t.Run(name, func(t *testing.T) {
			tracer := provider(linksampler.New(test.root)).Tracer("test")
			_, span := tracer.Start(context.Background(), "job", linkTo(test.links...))
			assert.Equal(t, test.want, span.SpanContext().IsSampled())
			assert.Equal(t, test.want, span.IsRecording())
		})
	}
}

// asked is a sampler that keeps what it was asked.
type asked struct {
	sdktrace.Sampler
	with *[]sdktrace.SamplingParameters
}

func (s asked) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	*s.with = append(*s.with, p)
	result := s.Sampler.ShouldSample(p)
	result.Attributes = []attribute.KeyValue{attribute.String("by", "the wrapped one")}
	return result
}

// With a parent a link says nothing: a span shares its parent's fate, or traces have holes.
func TestASpanWithAParentIsTheWrappedSamplers(t *testing.T) {
	for name, flags := range map[string]trace.TraceFlags{"sampled": trace.FlagsSampled, "unsampled": 0} {
		for _, remote := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				var with []sdktrace.SamplingParameters
				recorder := tracetest.NewSpanRecorder()
				tp := provider(linksampler.New(asked{always, &with}), sdktrace.WithSpanProcessor(recorder))
				other := spanContext(2, flags^trace.FlagsSampled, false)
				parent := trace.ContextWithSpanContext(context.Background(), spanContext(1, flags, remote))
				_, span := tp.Tracer("test").Start(parent, "job", linkTo(other), trace.WithAttributes(attribute.Bool("k", true)))
				span.End()
				assert.Equal(t, flags.IsSampled(), span.SpanContext().IsSampled())
				require.Len(t, with, 1)
				assert.Equal(t, "job", with[0].Name, "the wrapped one is told all")
				assert.Equal(t, []attribute.KeyValue{attribute.Bool("k", true)}, with[0].Attributes)
				assert.Len(t, with[0].Links, 1)
				if flags.IsSampled() {
					assert.Contains(t, recorder.Ended()[0].Attributes(), attribute.String("by", "the wrapped one"), "and answers all")
				}
			})
		}
	}
}

// A parent that is not valid is none.
func TestAnInvalidParentIsNone(t *testing.T) {
	half := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{3}, TraceFlags: trace.FlagsSampled})
	tracer := provider(linksampler.New(always)).Tracer("test")
	_, span := tracer.Start(trace.ContextWithSpanContext(context.Background(), half), "job", linkTo(spanContext(2, 0, false)))
	assert.False(t, span.SpanContext().IsSampled())
}

// WithNewRoot takes the parent away before a sampler is asked.
func TestANewRootFollowsItsLink(t *testing.T) {
	tracer := provider(linksampler.New(always)).Tracer("test")
	parent := trace.ContextWithSpanContext(context.Background(), spanContext(1, trace.FlagsSampled, false))
	_, span := tracer.Start(parent, "job", trace.WithNewRoot(), linkTo(spanContext(2, 0, false)))
	assert.False(t, span.SpanContext().IsSampled())
}

// The wrapped sampler is not asked where the links decide: one that limits a rate would count the span.
func TestTheWrappedSamplerIsNotAskedInVain(t *testing.T) {
	var with []sdktrace.SamplingParameters
	tracer := provider(linksampler.New(asked{always, &with})).Tracer("test")
	tracer.Start(context.Background(), "job", linkTo(spanContext(1, trace.FlagsSampled, false)))
	tracer.Start(context.Background(), "job", linkTo(spanContext(2, 0, false)))
	assert.Empty(t, with)
}

func TestDescription(t *testing.T) {
	assert.Equal(t, "LinkBased{AlwaysOnSampler}", linksampler.New(sdktrace.AlwaysSample()).Description())
	assert.Equal(t, "LinkBased{"+tenPercent.Description()+"}", linksampler.New(tenPercent).Description())
}

func TestNewNeedsASampler(t *testing.T) {
	assert.PanicsWithValue(t, "linksampler: New: the sampler is nil", func() { linksampler.New(nil) })
}
