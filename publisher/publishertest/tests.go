package publishertest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

func (k *kit) delivers() {
	sent := fullEvent()
	k.publish(k.context(), sent)
	k.requireEqual(sent, k.receive().Event)
}

func (k *kit) completes() {
	before := time.Now().Add(-time.Millisecond)
	k.publish(k.context(), publisher.Event{
		Kind: publisher.KindStreaming, Type: publisher.TypeUpdate, RunID: "r-1",
	})
	got := k.receive().Event
	if got.ID == "" {
		k.Error("the event has no id")
	}
	if got.Timestamp.Before(before) || got.Timestamp.After(time.Now()) {
		k.Errorf("the timestamp is %v, want now", got.Timestamp)
	}
	if got.Kind != publisher.KindStreaming || got.Type != publisher.TypeUpdate {
		k.Errorf("the event has kind %s and type %s", got.Kind, got.Type)
	}
	if got.RunID != "r-1" || got.ThreadID+got.NodeName+got.UserID+got.Content != "" {
		k.Errorf("sent an event with the run r-1 and no other text, and received %+v", got)
	}
	if got.SpanContext().IsValid() {
		k.Error("the event has a trace, but its context had none")
	}
}

func (k *kit) leavesTheEventAlone() {
	sent := fullEvent()
	k.publish(k.context(), sent)
	k.requireEqual(fullEvent(), sent)
	sent.Data["files"], sent.Metadata["is_stream"] = 0, true
	sent.ContentBlocks[0]["text"] = "changed"
	k.requireEqual(fullEvent(), k.receive().Event)
}

func (k *kit) keepsOrder() {
	const events = 100
	for i := range events {
		k.publish(k.context(), numbered("t-1", i))
	}
	for i := range events {
		if got := k.receive().Event.ID; got != numbered("t-1", i).ID {
			k.Fatalf("event %d has the ID %s", i, got)
		}
	}
}

func (k *kit) keepsOrderOfKeys() {
	const keys, events = 10, 30
	m := core.New(core.WithLogger(slog.New(slog.DiscardHandler))) // the test reports failures
	ordered := publisher.NewOrdered(m, k.Publisher)
	for i := range events {
		for key := range keys {
			ordered.Go(k.context(), numbered(fmt.Sprint("t-", key), i))
		}
	}
	last := make(map[string]uint64)
	for range keys * events {
		got := k.receive().Event
		if got.Sequence != last[got.ThreadID]+1 {
			k.Fatalf("%s: sequence number %d after %d", got.ThreadID, got.Sequence, last[got.ThreadID])
		}
		if want := numbered(got.ThreadID, int(got.Sequence)-1).ID; got.ID != want {
			k.Fatalf("sequence number %d has the ID %s, want %s", got.Sequence, got.ID, want)
		}
		last[got.ThreadID] = got.Sequence
	}
	if stats, err := m.Shutdown(k.context()); err != nil || m.Stats().Completed != keys*events {
		k.Errorf("Shutdown returned %+v, %v; the manager has %+v", stats, err, m.Stats())
	}
}

func (k *kit) takesManyCallers() {
	const callers, events = 20, 20
	ctx := k.context()
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range events {
				e := numbered(fmt.Sprint("t-", caller), i)
				if err := k.call(ctx, k.Publisher, e); err != nil {
					k.Errorf("Publish returned %v", err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for range callers * events {
		seen[k.receive().Event.ID] = true
	}
	if len(seen) != callers*events {
		k.Errorf("%d of %d events arrived", len(seen), callers*events)
	}
}

func (k *kit) carriesTheTrace() {
	span := spanContext(1)
	k.publish(trace.ContextWithSpanContext(k.context(), span), numbered("t-1", 0))
	got := k.receive()
	k.requireSpan(span, got.Event)
	if got.Header == nil {
		return
	}
	want := fmt.Sprintf("00-%s-%s-01", span.TraceID(), span.SpanID())
	if got.Header["traceparent"] != want || got.Header["tracestate"] != span.TraceState().String() {
		k.Errorf("the headers %v do not have the trace %s", got.Header, want)
	}
}

// An event that has a trace already keeps it as the trace of its origin. Only the headers have the
// trace of the sender.
func (k *kit) keepsTheOrigin() {
	origin, hop := spanContext(1), spanContext(2)
	e := numbered("t-1", 0)
	e.TraceParent = fmt.Sprintf("00-%s-%s-01", origin.TraceID(), origin.SpanID())
	e.TraceState = origin.TraceState().String()
	k.publish(trace.ContextWithSpanContext(k.context(), hop), e)
	got := k.receive()
	k.requireSpan(origin, got.Event)
	if got.Header != nil && !strings.Contains(got.Header["traceparent"], hop.TraceID().String()) {
		k.Errorf("the headers %v do not have the trace of the sender", got.Header)
	}
}

func (k *kit) takesBigEvents() {
	e := numbered("t-1", 0)
	e.Content = strings.Repeat("x", cmp.Or(k.MaxContent, defaultContent))
	k.publish(k.context(), e)
	if got := k.receive().Event; got.Content != e.Content {
		k.Errorf("sent %d bytes of content, and received %d bytes that differ", len(e.Content), len(got.Content))
	}
}

func (k *kit) takesOddText() {
	const odd = "line\r\nbreak\ttab\x00nul \"quotes\" ünïcödé 🛰 <&> \u2028 %41 ://u:p@h"
	e := numbered(odd, 0)
	e.NodeName, e.RunID, e.Content, e.Data = odd, odd, " \n"+odd+"\n ", map[string]any{odd: odd}
	k.publish(k.context(), e)
	k.requireEqual(e, k.receive().Event)
}

func (k *kit) replacesInvalidUTF8() {
	e := numbered("t-\xff", 0)
	e.Content = "caf\xe9"
	k.publish(k.context(), e)
	got := k.receive().Event
	if got.Content != "caf\ufffd" || got.ThreadID != "t-\ufffd" {
		k.Errorf("the event arrived with content %q and thread %q", got.Content, got.ThreadID)
	}
}

func (k *kit) refusesTheUnserialisable() {
	bad := numbered("t-1", 0)
	bad.Data = map[string]any{"conn": make(chan int)}
	err := k.call(k.context(), k.Publisher, bad)
	if _, ok := errors.AsType[*json.UnsupportedTypeError](err); !ok {
		k.Errorf("Publish of an event with a channel returned %v", err)
	}
	if !publisher.IsPermanent(err) {
		k.Errorf("the error is not permanent, so a retry would go on for ever: %v", err)
	}
	k.publish(k.context(), numbered("t-1", 1))
	if got := k.receive().Event; got.ID != numbered("t-1", 1).ID {
		k.Errorf("the event %s arrived", got.ID)
	}
}
