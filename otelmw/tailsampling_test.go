package otelmw_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// What a tail sampler keeps. The one here is the test's own. It decides as the collector's
// tail_sampling processor does with these settings: a trace is decided about a while after its first
// span has arrived, by the spans that are there, and what comes later shares its fate.
//
//	decision_wait: 10s
//	policies:
//	  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
//	  - {name: slow, type: latency, latency: {threshold_ms: 1000}}

type tailSampler struct {
	wait time.Duration

	mu     sync.Mutex
	traces map[trace.TraceID]*tailTrace
}

type tailTrace struct {
	spans         []sdktrace.ReadOnlySpan
	decided, kept bool
}

const slow = time.Second

// OnEnd implements sdktrace.SpanProcessor. It stands for the exporter and the way to the collector.
func (s *tailSampler) OnEnd(span sdktrace.ReadOnlySpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := span.SpanContext().TraceID()
	found := s.traces[id]
	if found == nil {
		found = &tailTrace{}
		s.traces[id] = found
		time.AfterFunc(s.wait, func() { s.decide(found) })
	}
	found.spans = append(found.spans, span)
}

func (s *tailSampler) decide(found *tailTrace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, last := found.spans[0].StartTime(), found.spans[0].EndTime()
	for _, span := range found.spans {
		found.kept = found.kept || span.Status().Code == codes.Error
		if span.StartTime().Before(first) {
			first = span.StartTime()
		}
		if span.EndTime().After(last) {
			last = span.EndTime()
		}
	}
	found.decided = true
	found.kept = found.kept || last.Sub(first) >= slow
}

func (*tailSampler) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (*tailSampler) Shutdown(context.Context) error                  { return nil }
func (*tailSampler) ForceFlush(context.Context) error                { return nil }

// keeps reports whether the trace of span is kept.
func (s *tailSampler) keeps(t *testing.T, span sdktrace.ReadOnlySpan) bool {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.traces[span.SpanContext().TraceID()]
	assert.True(t, found.decided, span.Name())
	return found.kept
}

func TestTailSampling(t *testing.T) {
	failsAfter := func(d time.Duration) core.Func {
		return func(context.Context) error { time.Sleep(d); return errTask }
	}
	for name, test := range map[string]struct {
		task         core.Func
		request      time.Duration
		waits        time.Duration // in the queue
		wait         time.Duration // of the sampler, if not ten seconds
		opts         []otelmw.Option
		keepsRequest bool
		keepsTask    bool
	}{
		"a failing pair is kept whole":                 {task: fail, keepsRequest: true, keepsTask: true},
		"also where the task fails after a while":      {task: failsAfter(4 * time.Second), keepsRequest: true, keepsTask: true},
		"and where it waited first":                    {task: fail, waits: 4 * time.Second, keepsRequest: true, keepsTask: true},
		"a quick request is not kept as slow":          {task: sleep(3 * time.Second), keepsTask: true},
		"also where its task goes on for very long":    {task: sleep(time.Minute), keepsTask: true},
		"and where its task waits for long":            {task: succeed, waits: 4 * time.Second},
		"a slow request is kept, its task is not":      {task: succeed, request: 2 * time.Second, keepsRequest: true},
		"a quick request with a quick task is not":     {task: succeed},
		"child: a quick request is kept as slow":       {task: sleep(3 * time.Second), opts: child, keepsRequest: true, keepsTask: true},
		"limit: a failure after the hold":              {task: failsAfter(6 * time.Second), keepsTask: true},
		"limit: a sampler that decides too soon":       {task: failsAfter(4 * time.Second), wait: 2 * time.Second, keepsTask: true},
		"limit: without a hold the request goes":       {task: fail, opts: []otelmw.Option{otelmw.WithSpawnSpanHold(0)}, keepsTask: true},
		"limit: without a spawn span the request, too": {task: fail, opts: []otelmw.Option{otelmw.WithoutSpawnSpan()}, keepsTask: true},
	} {
		inBubble(t, name, func(t *testing.T) {
			tail := &tailSampler{wait: 10 * time.Second, traces: map[trace.TraceID]*tailTrace{}}
			if test.wait > 0 {
				tail.wait = test.wait
			}
			tel := newTelemetry(t, sdktrace.WithSpanProcessor(tail))
			m := newManager(core.WithLimit(1, -1), core.WithMiddleware(tel.middleware(test.opts...)))
			if test.waits > 0 {
				m.Go(context.Background(), "blocker", sleep(test.waits))
			}
			ctx, agent := tel.start("agent")
			m.Go(ctx, "job", test.task)
			time.Sleep(test.request)
			agent.End()
			tel.wait(t, m)
			time.Sleep(tail.wait)
			synctest.Wait()
			assert.Equal(t, test.keepsRequest, tail.keeps(t, tel.span(t, "agent")), "the request")
			assert.Equal(t, test.keepsTask, tail.keeps(t, tel.span(t, "job")), "the task")
		})
	}
}

var child = []otelmw.Option{otelmw.WithRelation(otelmw.Child)}
