package publisher_test

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// BenchmarkPublish measures the cost of a small event from the call to the end of its task, with a
// sink that does nothing. The same run measures a bare task of core, and one with the same key.
//
//	go test -run xxx -bench Publish -benchmem ./publisher
func BenchmarkPublish(b *testing.B) {
	noop := publisher.Func(func(context.Context, publisher.Event) error { return nil })
	task := func(context.Context) error { return nil }
	var events [batch]publisher.Event
	for i := range events {
		events[i] = small(fmt.Sprint("t-", i), "Where is my order?")
		events[i].Data = map[string]any{"tokens": 42, "model": "small"}
	}
	m, ctx := newManager(), context.Background()
	var s core.Keyed
	one := core.WithKey(&s, "t-1")
	ordered := publisher.NewOrdered(m, noop)
	multi := publisher.Multi(noop, noop)
	for _, bb := range []struct {
		name string
		one  func(i int)
	}{
		{"floor: a task of core", func(int) { m.Go(ctx, "publish_event", task) }},
		{"floor: a task of core with a key", func(int) { m.Go(ctx, "publish_event", task, one) }},
		{"Publish", func(i int) { publisher.Go(ctx, m, noop, events[i]) }},
		{"Publish, no data", func(int) { publisher.Go(ctx, m, noop, publisher.Event{Kind: "k", Type: "t", ThreadID: "t-1"}) }},
		{"Ordered, one key", func(int) { ordered.Go(ctx, events[0]) }},
		{"Ordered, a key each", func(i int) { ordered.Go(ctx, events[i]) }},
		{"Ordered, no key", func(int) { ordered.Go(ctx, publisher.Event{Kind: "k", Type: "t"}) }},
		{"Publish to a Multi of two", func(i int) { publisher.Go(ctx, m, multi, events[i]) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				bb.one(n % batch)
				if n++; n%batch == 0 {
					_ = m.Wait(ctx)
				}
			}
			_ = m.Wait(ctx)
		})
	}
	if stats := m.Stats(); stats.Failed+stats.Rejected > 0 {
		b.Errorf("%+v", stats)
	}
}

// batch limits the number of goroutines, and of events of a key, to that of a service without
// overload.
const batch = 256

func BenchmarkEncode(b *testing.B) {
	traced := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	}))
	for _, enc := range encodings {
		b.Run(enc.String(), func(b *testing.B) {
			event := full()
			b.ReportAllocs()
			for b.Loop() {
				m, err := enc.Encode(traced, event, "ce_")
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(m.Body)))
			}
		})
		b.Run(enc.String()+", decode", func(b *testing.B) {
			m, err := enc.Encode(traced, full(), "ce_")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := publisher.Decode(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The text of an error is searched each time that a publish fails.
func BenchmarkRedact(b *testing.B) {
	for name, text := range map[string]string{
		"with a password": "dial redis://user:hunter2@localhost:6379/0: connection refused", "without": "connection refused",
	} {
		b.Run(name, func(b *testing.B) {
			err := &connectError{text}
			b.ReportAllocs()
			for b.Loop() {
				_ = publisher.Redact(err)
			}
		})
	}
}
