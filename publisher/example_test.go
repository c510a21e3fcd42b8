package publisher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// An event is published in the background. Its task ends with the publisher's result.
func ExampleGo() {
	tasks := core.New()
	broker := publisher.Func(func(_ context.Context, e publisher.Event) error {
		fmt.Println("sent:", e.Kind, e.Type, "of", e.ThreadID)
		return nil
	})
	task := publisher.Go(context.Background(), tasks, broker, publisher.Event{
		Kind: publisher.KindNodeExecution, Type: publisher.TypeStart, NodeName: "plan", ThreadID: "thread-1",
	}, core.WithTimeout(10*time.Second))

	_ = tasks.Wait(context.Background())
	fmt.Println(task.Name(), task.Outcome())
	// Output:
	// sent: node_execution start of thread-1
	// publish_event completed
}

// An event that does not marshal to JSON fails, and its error says why.
func ExampleGo_unserialisable() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	task := publisher.Go(context.Background(), tasks, publisher.Console(os.Stdout), publisher.Event{
		ID: "e-1", Kind: publisher.KindToolExecution, Type: publisher.TypeResult, Data: map[string]any{"conn": make(chan int)},
	})
	err := task.Wait(context.Background())
	if cause, ok := errors.AsType[*json.UnsupportedTypeError](err); ok {
		fmt.Print(strings.TrimSuffix(err.Error(), cause.Error()), cause.Type)
	}
	// Output:
	// publisher: event e-1 cannot be sent: Event.Data has a value that JSON cannot carry: ["conn"]: chan int
}

// The events of one thread arrive in order, although the first takes longest.
func ExampleOrdered() {
	tasks := core.New()
	broker := publisher.Func(func(_ context.Context, e publisher.Event) error {
		if e.Type == publisher.TypeStart {
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Println(e.Sequence, e.Type)
		return nil
	})
	events := publisher.NewOrdered(tasks, broker)
	for _, happened := range []publisher.Type{publisher.TypeStart, publisher.TypeProgress, publisher.TypeEnd} {
		events.Go(context.Background(), publisher.Event{
			Kind: publisher.KindGraphExecution, Type: happened, ThreadID: "thread-1",
		})
	}
	_, err := tasks.Shutdown(context.Background()) // delivers the accepted events
	fmt.Println(err)
	// Output:
	// 1 start
	// 2 progress
	// 3 end
	// <nil>
}

// The buffer has room for two events of a thread. The third is refused.
func ExampleWithBuffer() {
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	release := make(chan struct{})
	stuck := publisher.Func(func(context.Context, publisher.Event) error { <-release; return nil })
	events := publisher.NewOrdered(tasks, stuck, publisher.WithBuffer(2, 1000))
	for range 3 {
		task := events.Go(context.Background(), publisher.Event{
			Kind: publisher.KindStreaming, Type: publisher.TypeUpdate, ThreadID: "thread-1",
		})
		fmt.Println(task.Outcome(), errors.Is(task.Err(), core.ErrFull))
	}
	close(release)
	_ = tasks.Wait(context.Background())
	// Output:
	// pending false
	// pending false
	// rejected true
}

// A retry can be a simple loop. Later events of the thread wait for it, so they stay in order. A
// retry library works the same way. It stops at a permanent error too, since its ctx is done then:
//
//	publisher.WithRetry(func(ctx context.Context, publish func(context.Context) error) error {
//		_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, publish(ctx) })
//		return err
//	})
func ExampleWithRetry() {
	retry := func(ctx context.Context, publish func(context.Context) error) error {
		pause := time.Millisecond
		for attempt := 1; ; attempt++ {
			err := publish(ctx)
			if err == nil || attempt == 5 || publisher.IsPermanent(err) {
				return err
			}
			select {
			case <-ctx.Done(): // the task was cancelled or the manager shuts down
				return errors.Join(context.Cause(ctx), err)
			case <-time.After(pause):
				pause *= 2
			}
		}
	}
	attempts := 0
	broker := publisher.Func(func(_ context.Context, e publisher.Event) error {
		if attempts++; attempts < 3 {
			return errors.New("broker: connection refused")
		}
		fmt.Println(e.Type, "after", attempts, "attempts")
		return nil
	})
	tasks := core.New()
	events := publisher.NewOrdered(tasks, broker, publisher.WithRetry(retry))
	for _, happened := range []publisher.Type{publisher.TypeStart, publisher.TypeEnd} {
		events.Go(context.Background(), publisher.Event{
			Kind: publisher.KindLLMCall, Type: happened, ThreadID: "thread-1",
		})
	}
	_ = tasks.Wait(context.Background())
	// Output:
	// start after 3 attempts
	// end after 4 attempts
}

// An event that can never be delivered is not tried again, and the next event of its thread goes on.
func ExamplePermanent() {
	attempts := 0
	broker := publisher.Func(func(_ context.Context, e publisher.Event) error {
		attempts++
		if len(e.Content) > 10 {
			return publisher.Permanent(errors.New("the content is too long"))
		}
		fmt.Println("sent:", e.Content)
		return nil
	})
	forever := func(ctx context.Context, publish func(context.Context) error) error {
		for {
			if err := publish(ctx); err == nil || publisher.IsPermanent(err) {
				return err
			}
		}
	}
	tasks := core.New(core.WithLogger(slog.New(slog.DiscardHandler)))
	events := publisher.NewOrdered(tasks, broker, publisher.WithRetry(forever))
	poison := publisher.Event{Kind: publisher.KindStreaming, Type: publisher.TypeUpdate, ThreadID: "thread-1", Content: "much too long"}
	next := publisher.Event{Kind: publisher.KindStreaming, Type: publisher.TypeUpdate, ThreadID: "thread-1", Content: "short"}
	task := events.Go(context.Background(), poison)
	events.Go(context.Background(), next)

	_ = tasks.Wait(context.Background())
	fmt.Println(task.Err(), publisher.IsPermanent(task.Err()), attempts)
	// Output:
	// sent: short
	// the content is too long true 2
}

// Each event goes to the terminal and to a broker. The error says which of them failed.
func ExampleMulti() {
	away := publisher.Func(func(context.Context, publisher.Event) error { return errors.New("broker: away") })
	all := publisher.Multi(publisher.Console(os.Stdout), away)
	err := all.Publish(context.Background(), publisher.Event{
		Kind: publisher.KindToolExecution, Type: publisher.TypeEnd, NodeName: "search", Timestamp: time.Unix(0, 0).UTC(),
	})
	fmt.Println(err)
	// Output:
	// 1970-01-01T00:00:00Z tool_execution end node=search
	// sink 1 (publisher.Func): broker: away
}

// Console writes a line for people, or a line of JSON for programs.
func ExampleConsole() {
	e := publisher.Event{
		ID: "e-1", Kind: publisher.KindToolExecution, Type: publisher.TypeError, NodeName: "search files", ThreadID: "thread-1",
		Content: "no such file", Data: map[string]any{"path": "/tmp/x"}, IsError: true, Timestamp: time.Unix(1_700_000_000, 0).UTC(),
	}
	_ = publisher.Console(os.Stdout).Publish(context.Background(), e)
	_ = publisher.Console(os.Stdout, publisher.WithJSONLines()).Publish(context.Background(), e)
	// Output:
	// 2023-11-14T22:13:20Z tool_execution error node="search files" thread=thread-1 ERROR "no such file" data={"path":"/tmp/x"}
	// {"id":"e-1","event":"tool_execution","event_type":"error","content":"no such file","content_blocks":null,"data":{"path":"/tmp/x"},"content_type":null,"node_name":"search files","run_id":"","thread_id":"thread-1","timestamp":1700000000.000000,"is_error":true,"metadata":{}}
}

func ExampleSlog() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			// The times change from run to run.
			if a.Key == slog.TimeKey || a.Key == "timestamp" {
				return slog.Attr{}
			}
			return a
		},
	}))
	_ = publisher.Slog(log).Publish(context.Background(), publisher.Event{
		ID: "e-1", Kind: publisher.KindLLMCall, Type: publisher.TypeResult, ThreadID: "thread-1", Content: "Hello!",
	})
	// Output:
	// level=INFO msg="llm_call result" event_id=e-1 thread_id=thread-1 content=Hello!
}

// A function can be a publisher.
func ExampleFunc() {
	var p publisher.Publisher = publisher.Func(func(_ context.Context, e publisher.Event) error {
		fmt.Println(e.Content)
		return nil
	})
	fmt.Println(p.Publish(context.Background(), publisher.Event{Content: "Hello!"}))
	// Output:
	// Hello!
	// <nil>
}

// An adapter encodes an event and sends the message to its broker.
func ExampleEncoding_Encode() {
	e := publisher.Event{
		ID: "e-1", Kind: publisher.KindNodeExecution, Type: publisher.TypeEnd, NodeName: "plan", ThreadID: "thread-1",
		Timestamp: time.Unix(1_700_000_000, 0),
	}
	for _, encoding := range []publisher.Encoding{publisher.Structured, publisher.Binary} {
		message, err := encoding.Encode(context.Background(), e, "ce_")
		fmt.Println(message.ID, message.Key, err)
		fmt.Printf("%s %q\n", message.Header["content-type"], message.Header["ce_type"])
		fmt.Println(string(message.Body[:40]))
	}
	// Output:
	// e-1 thread-1 <nil>
	// application/cloudevents+json; charset=UTF-8 ""
	// {"specversion":"1.0","id":"e-1","source"
	// e-1 thread-1 <nil>
	// application/json "afterspan.node_execution.end"
	// {"id":"e-1","event":"node_execution","ev
}

// Decode recognises the encoding of an event. This event was written by Agentflow.
func ExampleDecode() {
	event, err := publisher.Decode(publisher.Message{Body: []byte(
		`{"event": "tool_execution", "event_type": "start", "thread_id": 17, "timestamp": 1700000000.25, "data": {"tool": "search"}}`)})
	fmt.Println(event.Kind, event.Type, event.ThreadID, event.Timestamp, event.Data["tool"], err)
	// Output:
	// tool_execution start 17 2023-11-14 22:13:20.25 +0000 UTC search <nil>
}

// The consumer's span links to the span of the task that published the event.
func ExampleEvent_SpanContext() {
	tracer := sdktrace.NewTracerProvider().Tracer("consumer")
	event := publisher.Event{TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

	_, span := tracer.Start(context.Background(), "handle", trace.WithLinks(trace.Link{SpanContext: event.SpanContext()}))
	defer span.End()
	link := span.(sdktrace.ReadOnlySpan).Links()[0].SpanContext
	fmt.Println(link.TraceID(), link.SpanID(), link.IsRemote())
	// Output:
	// 0af7651916cd43dd8448eb211c80319c b7ad6b7169203331 true
}

// Bound adds a context to a call that does not look at one.
func ExampleBound() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	release := make(chan struct{})
	defer close(release)
	err := publisher.Bound(ctx, func() error { <-release; return nil })
	text, _, _ := strings.Cut(err.Error(), ":")
	fmt.Println(text, errors.Is(err, context.DeadlineExceeded))
	// Output:
	// the call has not returned true
}

func ExampleRedact() {
	fmt.Println(publisher.Redact(errors.New("dial amqp://agent:secret@localhost:5672: connection refused")))
	// Output:
	// dial amqp://***@localhost:5672: connection refused
}
