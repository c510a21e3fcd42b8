package otelmw

import (
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// openSpans are the spans of a task's runs that have not ended. There is one, unless a middleware
// outside calls next again before the first call has returned. Whoever takes a span ends it: the run,
// or a shutdown that leaves the task behind.
type openSpans struct {
	mu    sync.Mutex
	spans []openSpan
	one   [1]openSpan // room for the usual case
}

type openSpan struct {
	trace.Span
	attempt int64 // which run it is of
}

func (o *openSpans) add(attempt int64, span trace.Span) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spans == nil {
		o.spans = o.one[:0]
	}
	o.spans = append(o.spans, openSpan{span, attempt})
}

// take returns the span of an attempt, or nil if there is none.
func (o *openSpans) take(attempt int64) trace.Span {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, open := range o.spans {
		if open.attempt == attempt {
			o.spans = slices.Delete(o.spans, i, i+1)
			return open.Span
		}
	}
	return nil
}

// takeAll returns the spans that nobody has taken.
func (o *openSpans) takeAll() []openSpan {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := slices.Clone(o.spans)
	clear(o.spans)
	o.spans = o.spans[:0]
	return all
}

// abandonSpan ends the span of a run that goes on.
func abandonSpan(span trace.Span) {
	defer contain("the end of a span")
	defer func() { span.End() }()
	writeAbandoned(span)
}
