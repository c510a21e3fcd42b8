package publisher_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// body is the body of a request, from which a handler cuts the strings of an event.
type body [1 << 20]byte

// cut returns the string that stands at the start of a new body.
func cut(s string) (string, weak.Pointer[body]) {
	b := new(body)
	copy(b[:], s)
	return unsafe.String(&b[0], len(s)), weak.Make(b)
}

// 2,000 events whose thread was cut from a body of a mebibyte held 2 GB, for the keys that a sequence
// keeps. https://go.dev/issue/69370
func TestKeysKeepNoMemoryOfTheStringsThatTheyWereCutFrom(t *testing.T) {
	const events = 50
	m := newManager()
	o := publisher.NewOrdered(m, &inbox{})
	var bodies []weak.Pointer[body]
	for i := range events {
		for _, start := range []func(context.Context, publisher.Event, ...core.TaskOption) *core.Task{
			o.Go,
			func(ctx context.Context, e publisher.Event, opts ...core.TaskOption) *core.Task {
				return publisher.Go(ctx, m, &inbox{}, e, opts...)
			},
		} {
			thread, b := cut(fmt.Sprint("thread-", i))
			bodies = append(bodies, b)
			start(t.Context(), small(thread, ""))
			run, b := cut(fmt.Sprint("run-", i))
			bodies = append(bodies, b)
			start(t.Context(), publisher.Event{Kind: "k", Type: "t", RunID: run})
		}
	}
	require.NoError(t, m.Wait(t.Context()))
	runtime.GC()
	runtime.GC() // the last body may have been on a stack
	kept := 0
	for _, b := range bodies {
		if b.Value() != nil {
			kept++
		}
	}
	assert.LessOrEqual(t, kept, 1, "of %d bodies", len(bodies))
	runtime.KeepAlive(o)
}

// A web framework may reuse the bytes of a request after its handler has returned.
func TestStringsWhoseBytesAreReusedDoNotChangeTheEvent(t *testing.T) {
	for _, way := range []string{"Go", "Ordered", "Multi"} {
		inBubble(t, way, func(t *testing.T) {
			m, sink, release := newManager(), &inbox{}, make(chan struct{})
			e, reuse := borrowed()
			want, _ := borrowed()
			switch way {
			case "Go":
				publisher.Go(t.Context(), m, sink.until(release), e)
			case "Ordered":
				publisher.NewOrdered(m, sink.until(release)).Go(t.Context(), e)
			case "Multi": // whose sink goes on after Publish has given up
				_ = publisher.Multi(sink.until(release)).Publish(within(t, 1), e)
			}
			synctest.Wait()
			reuse()
			close(release)
			require.NoError(t, m.Wait(t.Context()))
			synctest.Wait()
			got := sink.only(t)
			assert.Equal(t, toJSON(t, want), toJSON(t, got))
		})
	}
}

// borrowed returns an event, always the same, whose strings are in bytes that reuse overwrites.
func borrowed() (e publisher.Event, reuse func()) {
	var owned [][]byte
	lend := func(s string) string {
		b := []byte(s)
		owned = append(owned, b)
		return unsafe.String(&b[0], len(b))
	}
	e = full()
	e.ID, e.Kind, e.Type, e.Content = lend("id"), publisher.Kind(lend("kind")), publisher.Type(lend("type")), lend("content")
	e.NodeName, e.RunID, e.ThreadID, e.UserID = lend("node"), lend("run"), lend("thread"), lend("user")
	e.TraceParent, e.TraceState = lend(fullTrace), lend("vendor=1")
	e.ContentType = []publisher.ContentType{publisher.ContentType(lend("text"))}
	values := map[string]any{lend("key"): lend("value"), lend("list"): []any{lend("a")}, lend("words"): []string{lend("b")}}
	e.Data, e.Metadata = values, map[string]any{lend("m"): map[string]any{lend("deep"): lend("value")}}
	e.ContentBlocks = []map[string]any{{lend("text"): lend("block")}}
	return e, func() {
		for _, b := range owned {
			copy(b, bytes.Repeat([]byte("#"), len(b)))
		}
	}
}

// A client may still be sending a message after Publish has given up.
func TestMessageSharesNoMemoryWithTheEvent(t *testing.T) {
	for _, enc := range encodings {
		e, reuse := borrowed()
		want, _ := borrowed()
		m := encode(t, enc, t.Context(), e)
		reuse()
		assert.Equal(t, encode(t, enc, t.Context(), want), m)
	}
}

// A log handler may pass a record to another goroutine.
func TestSlogSharesNoMemoryWithTheEvent(t *testing.T) {
	var kept slog.Record
	h := handlerFunc(func(_ context.Context, r slog.Record) error { kept = r.Clone(); return nil })
	e, reuse := borrowed()
	require.NoError(t, publisher.Slog(slog.New(h)).Publish(t.Context(), e))
	reuse()
	var out bytes.Buffer
	require.NoError(t, slog.NewJSONHandler(&out, nil).Handle(t.Context(), kept))
	assert.NotContains(t, out.String(), "#")
}

func TestAttributesOfTheTaskShareNoMemoryWithTheEvent(t *testing.T) {
	m := newManager()
	for name, start := range ways(m, &inbox{}) {
		e, reuse := borrowed()
		bad := publisher.Event{Kind: e.Kind, ThreadID: e.ThreadID} // is refused
		for _, task := range []*core.Task{start(t.Context(), e), start(t.Context(), bad)} {
			require.NoError(t, m.Wait(t.Context()))
			reuse()
			assert.Equal(t, map[string]string{"kind": "kind", "thread_id": "thread"}, attrsOf(task), name)
			e, reuse = borrowed()
		}
	}
}

// 65,536 keys of a mebibyte each would take 64 GB.
func TestLongKeysTakeNoMoreMemoryThanShortOnes(t *testing.T) {
	m, sink := newManager(), &inbox{}
	o := publisher.NewOrdered(m, sink)
	long := strings.Repeat("t", 1<<20)
	for range 2 {
		for _, thread := range []string{long + "a", long + "b"} {
			o.Go(t.Context(), small(thread, ""))
		}
	}
	require.NoError(t, m.Wait(t.Context()))
	assert.Equal(t, []uint64{1, 2}, sink.sequences(long+"a"))
	assert.Equal(t, []uint64{1, 2}, sink.sequences(long+"b"))
}
