package otelmw_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// What the SDK is told, against the plainest way of telling it.

// plain is how a task's span would be written down for its own sake.
type plain struct {
	options []trace.SpanStartOption // beside the kind and the attributes
	start   []attribute.KeyValue
	end     []attribute.KeyValue
	status  string
}

func TestSpanIsThatOfThePlainForm(t *testing.T) {
	const (
		name    = attribute.Key("afterspan.task.name")
		id      = attribute.Key("afterspan.task.id")
		timeout = attribute.Key("afterspan.task.timeout")
		waited  = attribute.Key("afterspan.task.queue_time")
		traceID = attribute.Key("afterspan.spawner.trace_id")
		spanID  = attribute.Key("afterspan.spawner.span_id")
		origin  = attribute.Key("afterspan.origin.trace_id")
		outcome = attribute.Key("afterspan.task.outcome")
		cause   = attribute.Key("afterspan.task.cancel_cause")
		kind    = attribute.Key("afterspan.link.kind")
	)
	pending := outcome.String("pending")
	ours := []attribute.KeyValue{pending, name.String("job"), id.Int(1), waited.Float64(0)}
	spawner := func(sc trace.SpanContext) []attribute.KeyValue {
		return []attribute.KeyValue{
			traceID.String(sc.TraceID().String()), spanID.String(sc.SpanID().String()), origin.String(sc.TraceID().String()),
		}
	}
	link := func(sc trace.SpanContext) trace.Link {
		return trace.Link{SpanContext: sc, Attributes: []attribute.KeyValue{kind.String("spawner")}}
	}
	completed := []attribute.KeyValue{outcome.String("completed")}
	with := func(more ...attribute.KeyValue) []attribute.KeyValue {
		return append(slices.Clip(ours), more...)
	}
	var many []slog.Attr
	var manyKVs []attribute.KeyValue
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"} {
		many, manyKVs = append(many, slog.String(key, "v")), append(manyKVs, attribute.String(key, "v"))
	}
	for title, test := range map[string]struct {
		opts    []otelmw.Option
		task    []core.TaskOption
		fn      core.Func
		spawned bool
		want    func(sc trace.SpanContext) plain
	}{
		"root": {fn: succeed, want: func(trace.SpanContext) plain {
			return plain{options: []trace.SpanStartOption{trace.WithNewRoot()}, start: ours, end: completed}
		}},
		"link": {fn: succeed, spawned: true, want: func(sc trace.SpanContext) plain {
			return plain{
				options: []trace.SpanStartOption{trace.WithNewRoot(), trace.WithLinks(link(sc))},
				start:   with(spawner(sc)...), end: completed,
			}
		}},
		"child": {opts: []otelmw.Option{otelmw.WithRelation(otelmw.Child)}, fn: succeed, spawned: true, want: func(sc trace.SpanContext) plain {
			return plain{start: with(spawner(sc)[2]), end: completed}
		}},
		"none": {opts: []otelmw.Option{otelmw.WithRelation(otelmw.None)}, fn: succeed, spawned: true, want: func(sc trace.SpanContext) plain {
			return plain{options: []trace.SpanStartOption{trace.WithNewRoot()}, start: with(spawner(sc)[2]), end: completed}
		}},
		"attributes": {
			opts: []otelmw.Option{otelmw.WithAttributes(attribute.String("region", "eu"), attribute.Bool("paid", false), attribute.Int("afterspan.x", 1))},
			task: []core.TaskOption{core.WithTimeout(time.Minute), core.WithAttrs(
				slog.String("thread_id", "t-1"), slog.Group("order", slog.Int("id", 7), slog.Bool("paid", true)), slog.Bool("paid", true),
				slog.Duration("took", time.Second), slog.String("bad\xff", "\xff"), slog.String("thread_id", "t-2"))},
			fn: succeed,
			want: func(sc trace.SpanContext) plain {
				return plain{
					options: []trace.SpanStartOption{trace.WithNewRoot()},
					start: []attribute.KeyValue{
						pending, name.String("job"), id.Int(1), timeout.Float64(60), waited.Float64(0),
						attribute.Int("order.id", 7), attribute.Bool("order.paid", true), attribute.Bool("paid", true),
						attribute.String("took", "1s"), attribute.String("bad\uFFFD", "\uFFFD"), attribute.String("thread_id", "t-2"),
						attribute.String("region", "eu"),
					},
					end: completed,
				}
			},
		},
		"more attributes than most have": {
			task: []core.TaskOption{core.WithAttrs(many...)}, fn: succeed, spawned: true,
			want: func(sc trace.SpanContext) plain {
				return plain{
					options: []trace.SpanStartOption{trace.WithNewRoot(), trace.WithLinks(link(sc))},
					start:   append(with(spawner(sc)...), manyKVs...), end: completed,
				}
			},
		},
		"options of the service": {
			opts: []otelmw.Option{otelmw.WithSpanStartOptions(trace.WithSpanKind(trace.SpanKindInternal),
				trace.WithAttributes(attribute.Int("first", 1)), trace.WithLinks(trace.Link{SpanContext: oneByOne()}))},
			fn: succeed, spawned: true, want: func(sc trace.SpanContext) plain {
				return plain{
					options: []trace.SpanStartOption{
						trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(attribute.Int("first", 1)), trace.WithNewRoot(),
						trace.WithLinks(trace.Link{SpanContext: oneByOne()}, link(sc)),
					},
					start: with(spawner(sc)...), end: completed,
				}
			},
		},
		"failed": {fn: fail, want: func(trace.SpanContext) plain {
			return plain{
				options: []trace.SpanStartOption{trace.WithNewRoot()}, start: ours, status: errTask.Error(),
				end: []attribute.KeyValue{outcome.String("failed"), attribute.String("error.type", plainError)},
			}
		}},
		"timed out": {task: []core.TaskOption{core.WithTimeout(time.Second)}, fn: obey, want: func(trace.SpanContext) plain {
			return plain{
				options: []trace.SpanStartOption{trace.WithNewRoot()}, status: context.DeadlineExceeded.Error(),
				start: []attribute.KeyValue{pending, name.String("job"), id.Int(1), timeout.Float64(1), waited.Float64(0)},
				end:   []attribute.KeyValue{outcome.String("timed_out"), attribute.String("error.type", "timeout")},
			}
		}},
		"cancelled": {fn: obey, want: func(trace.SpanContext) plain {
			return plain{
				options: []trace.SpanStartOption{trace.WithNewRoot()}, start: ours,
				end: []attribute.KeyValue{outcome.String("cancelled"), cause.String("cancel")},
			}
		}},
	} {
		inBubble(t, title, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.WithIDGenerator(sameIDs{}))
			m := tel.manager(append(test.opts, otelmw.WithoutSpawnSpan())...)
			ctx, sc := context.Background(), trace.SpanContext{}
			if test.spawned {
				var agent trace.Span
				ctx, agent = tel.start("agent")
				defer agent.End()
				sc = agent.SpanContext()
			}
			task := m.Go(ctx, "job", test.fn, test.task...)
			synctest.Wait()
			if title == "cancelled" {
				task.Cancel()
			}
			require.NoError(t, m.Wait(t.Context()))
			got := tel.span(t, "job")
			assert.Equal(t, test.want(sc).span(ctx, got), tracetest.SpanStubFromReadOnlySpan(got))
		})
	}
}

// span starts and ends the span of the plain form, at the times of another.
func (p plain) span(ctx context.Context, like sdktrace.ReadOnlySpan) tracetest.SpanStub {
	recorder := tracetest.NewSpanRecorder()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithResource(like.Resource()),
		sdktrace.WithIDGenerator(sameIDs{}))
	tracer := traces.Tracer(otelmw.ScopeName, trace.WithInstrumentationVersion(otelmw.Version), trace.WithSchemaURL("https://opentelemetry.io/schemas/1.43.0"))
	options := append([]trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(like.StartTime())}, p.options...)
	_, span := tracer.Start(ctx, "job", append(options, trace.WithAttributes(p.start...))...)
	span.SetAttributes(p.end...)
	if p.status != "" {
		span.SetStatus(codes.Error, p.status)
	}
	span.End(trace.WithTimestamp(like.EndTime()))
	return tracetest.SpanStubFromReadOnlySpan(recorder.Ended()[0])
}

// sameIDs gives every span the same ids.
type sameIDs struct{}

func (sameIDs) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return trace.TraceID{0xfe, 15: 1}, trace.SpanID{0xfd, 7: 2}
}

func (sameIDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	return trace.SpanID{0xfc, 7: 3}
}

func oneByOne() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})
}

// A sampler may keep what it was told about a task. That is never used again for another.
func TestWhatASamplerWasToldStaysAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := dropping()
		tel := newTelemetry(t, sdktrace.WithSampler(all))
		retry := around(func(ctx context.Context, task *core.Task, next core.Handler) error {
			return errors.Join(next(ctx, task), next(ctx, task))
		})
		m := newManager(core.WithMiddleware(retry, tel.middleware()))
		for _, name := range []string{"one", "two"} {
			ctx, agent := tel.start("agent")
			require.NoError(t, m.Go(ctx, name, succeed, core.WithAttrs(slog.String("of", name))).Wait(t.Context()))
			agent.End()
		}
		tel.wait(t, m)
		for i, name := range []string{"one", "two"} {
			asked := all.of(name)
			require.Len(t, asked, 2)
			for attempt, p := range asked {
				attrs := values(t, p.Attributes)
				assert.Equal(t, name, attrs["of"])
				assert.Equal(t, int64(i+1), attrs["afterspan.task.id"])
				assert.Equal(t, attempt == 1, attrs["afterspan.task.attempt"] != nil)
				assert.Equal(t, tel.span(t, "spawn "+name).SpanContext(), p.Links[0].SpanContext)
			}
		}
	})
}
