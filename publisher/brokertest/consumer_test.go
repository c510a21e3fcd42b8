package brokertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	_ "modernc.org/sqlite" // the driver

	"github.com/afterspan/afterspan/publisher"
)

// The consumers of the documentation are run here against the real servers: see docs_test.go.

// An eventHandler is what a consumer calls for each event.
type eventHandler = func(context.Context, publisher.Event) error

// consumers run the consumer of each broker's documentation until ctx is done.
var consumers = map[string]func(ctx context.Context, server string, handle eventHandler) error{
	"redis":    runRedisConsumer,
	"nats":     runNATSConsumer,
	"rabbitmq": runRabbitConsumer,
	"kafka":    runKafkaConsumer,
}

// consumed is what a test knows of the broker behind its consumer.
type consumed struct {
	broker, server string // the name among consumers, and what to connect to
	publisher      publisher.Publisher
	garbage        func()     // sends a message that is no event
	unsettled      func() int // how many messages wait for their acknowledgement, or for a consumer
	deadLetters    func() int
}

// A consumer is killed between the work and the acknowledgement. The next one gets the event again
// and recognises it. Poison goes to the dead letters, and a failure that passes is tried again.
func testConsumer(t *testing.T, c consumed) {
	file := filepath.Join(t.TempDir(), "consumer.db")
	db := openInbox(t, file)
	traced, parent := tracedContext(t)
	send := func(id string) {
		require.NoError(t, c.publisher.Publish(traced, bill(id)))
	}

	send("first")
	runUntilKilled(t, c.broker, c.server, file)
	require.Equal(t, []string{"first"}, billsIn(t, db), "the work of the consumer that died")
	await(t, func() string { return differ("not acknowledged", 1, c.unsettled()) })

	send("poison")
	c.garbage()
	send("fails once")
	send("last")
	spans := tracetest.NewSpanRecorder()
	box := eventInbox{
		db: db, work: failingWork(),
		tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("consumer"),
	}
	deliveries, stop := runConsumer(t, c, box.handle)
	await(t, func() string {
		return differ("not acknowledged", 0, c.unsettled()) + differ("dead letters", 2, c.deadLetters()) + differ("bills", 3, len(billsIn(t, db)))
	})
	stop()
	require.Zero(t, c.unsettled(), "all acknowledged")
	require.ElementsMatch(t, []string{"first", "fails once", "last"}, billsIn(t, db), "each work once")
	require.EqualValues(t, 1, deliveries.of("first"), "redelivered, and recognised")
	require.EqualValues(t, 1, deliveries.of("poison"), "not tried again")
	require.EqualValues(t, 2, deliveries.of("fails once"))
	for _, span := range spans.Ended() {
		require.Equal(t, parent, span.Links()[0].SpanContext.SpanID(), "the span that published the event")
	}
}

// await waits until the condition returns "". Otherwise, it returns what is missing.
func await(t *testing.T, condition func() string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for missing := condition(); missing != ""; missing = condition() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("after a minute: %s", missing)
		}
	}
}

func differ(what string, want, got int) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s: %d, want %d; ", what, got, want)
}

func TestInboxForgetsOldEvents(t *testing.T) {
	db := openInbox(t, filepath.Join(t.TempDir(), "consumer.db"))
	box := eventInbox{db: db, tracer: noop.NewTracerProvider().Tracer(""), work: writeBill}
	handle := func() { require.NoError(t, box.handle(t.Context(), bill("first"))) }
	handle()
	require.NoError(t, box.forget(t.Context(), time.Hour))
	handle()
	require.Equal(t, []string{"first"}, billsIn(t, db))
	require.NoError(t, box.forget(t.Context(), -time.Hour))
	handle()
	require.Equal(t, []string{"first", "first"}, billsIn(t, db), "a duplicate that is older than the memory")
}

// bill returns an event to work on.
func bill(id string) publisher.Event {
	return publisher.Event{ID: id, Kind: publisher.KindLLMCall, Type: publisher.TypeEnd, ThreadID: "thread-1"}
}

func tracedContext(t *testing.T) (context.Context, trace.SpanID) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	return trace.ContextWithSpanContext(t.Context(), span), span.SpanID()
}

// openInbox creates the tables in a new SQLite file.
func openInbox(t *testing.T, file string) *sql.DB {
	t.Helper()
	db := openDB(file)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	for _, table := range []string{
		"handled_events (id TEXT PRIMARY KEY, handled_at TIMESTAMP NOT NULL)", "bills (event TEXT NOT NULL)",
	} {
		_, err := db.Exec("CREATE TABLE " + table)
		require.NoError(t, err)
	}
	return db
}

// openDB opens a file that several processes may use at the same time.
func openDB(file string) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		panic(err)
	}
	return db
}

// writeBill is the work. It has no key, so that work that is done twice shows.
func writeBill(ctx context.Context, tx *sql.Tx, e publisher.Event) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO bills (event) VALUES ($1)", e.ID)
	return err
}

// failingWork returns work that fails for good for the event "poison", and once for "fails once".
func failingWork() func(context.Context, *sql.Tx, publisher.Event) error {
	var failed atomic.Bool
	return func(ctx context.Context, tx *sql.Tx, e publisher.Event) error {
		if err := writeBill(ctx, tx, e); err != nil {
			return err
		}
		switch {
		case e.ID == "poison":
			return publisher.Permanent(errors.New("no such customer"))
		case e.ID == "fails once" && failed.CompareAndSwap(false, true):
			return errors.New("the network is down")
		}
		return nil
	}
}

func billsIn(t *testing.T, db *sql.DB) (events []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT event FROM bills ORDER BY rowid")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var event string
		require.NoError(t, rows.Scan(&event))
		events = append(events, event)
	}
	require.NoError(t, rows.Err())
	return events
}

// deliveryCounter counts the calls of a handler by the ID of the event.
type deliveryCounter struct {
	mu    sync.Mutex
	calls map[string]int
}

func (d *deliveryCounter) of(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[id]
}

// runConsumer runs a consumer until stop is called, or until the end of the test.
func runConsumer(t *testing.T, c consumed, handle eventHandler) (counter *deliveryCounter, stop func()) {
	t.Helper()
	counter = &deliveryCounter{calls: make(map[string]int)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = consumers[c.broker](ctx, c.server, func(ctx context.Context, e publisher.Event) error {
			counter.mu.Lock()
			counter.calls[e.ID]++
			counter.mu.Unlock()
			return handle(ctx, e)
		})
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return counter, stop
}

// dyingConsumer is the environment variable that makes this program a consumer which is killed once
// it has done its first work. Its value has the broker, the server and the file of the database.
const dyingConsumer = "AFTERSPAN_DYING_CONSUMER"

// runUntilKilled runs a consumer in a process of its own, until that kills itself.
func runUntilKilled(t *testing.T, broker, server, file string) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), dyingConsumer+"="+strings.Join([]string{broker, server, file}, "\n"))
	output, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "%v\n%s", err, output)
	require.NoError(t, ctx.Err(), "%s", output)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%s", output)
}

func consumeAndDie(args string) {
	parts := strings.Split(args, "\n")
	box := eventInbox{db: openDB(parts[2]), tracer: noop.NewTracerProvider().Tracer(""), work: writeBill}
	err := consumers[parts[0]](context.Background(), parts[1], func(ctx context.Context, e publisher.Event) error {
		if err := box.handle(ctx, e); err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL) // does not return
	})
	panic(err)
}
