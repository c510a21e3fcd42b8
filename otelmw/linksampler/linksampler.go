// Package linksampler samples a span that has no parent, only a link, if the linked span is sampled.
//
// A background task's span is the root of a trace of its own, linked to the span that spawned it. A
// sampler that goes by the trace id decides about the two independently: at 10 % it keeps both
// traces of 1 % of the pairs, and only one trace of another 18 %. Wrapped in this sampler it keeps
// both or neither:
//
//	sdktrace.WithSampler(linksampler.New(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1))))
//
// It follows the links of every span without a parent, including links to spans of other processes.
// A server may start such spans for clients that it does not trust, as otelhttp does with
// WithPublicEndpointFn. With this sampler those clients decide what is sampled. Give that server a
// provider of its own, without this sampler.
//
// It is a package of its own since it imports the SDK, which instrumentation must not.
package linksampler

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// New returns a sampler that samples a span without a parent but with links if, and only if, one of
// the spans that it links to is sampled. All other spans are left to s. It panics if s is nil.
//
// Only the links that a span is started with count, and links that are not valid do not.
func New(s sdktrace.Sampler) sdktrace.Sampler {
	if s == nil {
		panic("linksampler: New: the sampler is nil")
	}
	return sampler{s}
}

type sampler struct{ sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	linked, sampled := follow(p.Links)
	switch {
	case parent.IsValid() || !linked:
		return s.Sampler.ShouldSample(p)
	case sampled:
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	default:
		return sdktrace.SamplingResult{Decision: sdktrace.Drop}
	}
}

// follow reports whether there is a valid link at all, and whether one leads to a sampled span.
func follow(links []trace.Link) (linked, sampled bool) {
	for _, l := range links {
		linked = linked || l.SpanContext.IsValid()
		sampled = sampled || l.SpanContext.IsValid() && l.SpanContext.IsSampled()
	}
	return linked, sampled
}

// Description implements sdktrace.Sampler.
func (s sampler) Description() string { return "LinkBased{" + s.Sampler.Description() + "}" }
