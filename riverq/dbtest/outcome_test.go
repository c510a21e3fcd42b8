package dbtest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/riverq"
)

var errMail = errors.New("no such mailbox")

type work = func(ctx context.Context, job *river.Job[mailArgs]) error

// untilCancelled returns what a job does that waits for the end of its context and then returns the result of
// make.
func untilCancelled(result func(ctx context.Context) error) work {
	return func(ctx context.Context, _ *river.Job[mailArgs]) error {
		<-ctx.Done()
		return result(ctx)
	}
}

func ctxErr(ctx context.Context) error { return ctx.Err() }

// An interruption is what happens to a job while it runs.
type interruption func(t *testing.T, c client, cancelStart context.CancelFunc, id int64)

func jobCancel(t *testing.T, c client, _ context.CancelFunc, id int64) {
	_, err := c.JobCancel(t.Context(), id)
	require.NoError(t, err)
}

func stop(t *testing.T, c client, _ context.CancelFunc, _ int64) {
	require.NoError(t, c.Stop(t.Context()))
}

func stopAndCancel(t *testing.T, c client, _ context.CancelFunc, _ int64) {
	require.NoError(t, c.StopAndCancel(t.Context()))
}

func cancelStart(t *testing.T, c client, cancel context.CancelFunc, _ int64) {
	cancel()
	require.NoError(t, c.Stop(t.Context()))
}

type outcomeTest struct {
	work      work
	interrupt interruption
	softStop  time.Duration
	timeout   time.Duration

	outcome, cause, errorType any
	snoozed                   any
	status                    codes.Code
	state                     rivertype.JobState
	errors                    int // in River's row
}

// The outcome follows what River makes of the job.
func TestOutcomes(t *testing.T) {
	tests := map[string]outcomeTest{
		"completed": {
			work: succeed, outcome: "completed", state: rivertype.JobStateCompleted,
		},
		"failed": {
			work:    func(context.Context, *river.Job[mailArgs]) error { return errMail },
			outcome: "failed", errorType: "*errors.errorString", status: codes.Error,
			state: rivertype.JobStateDiscarded, errors: 1,
		},
		"snoozed": {
			work: func(context.Context, *river.Job[mailArgs]) error {
				return fmt.Errorf("not yet: %w", river.JobSnooze(time.Hour))
			},
			outcome: "cancelled", cause: "cancel", snoozed: 3600.0, state: rivertype.JobStateScheduled,
		},
		"cancelled by itself": {
			work:    func(context.Context, *river.Job[mailArgs]) error { return river.JobCancel(errMail) },
			outcome: "cancelled", cause: "cancel", state: rivertype.JobStateCancelled, errors: 1,
		},
		"cancelled by somebody": {
			work: untilCancelled(ctxErr), interrupt: jobCancel,
			outcome: "cancelled", cause: "cancel", state: rivertype.JobStateCancelled, errors: 1,
		},
		"cancelled by somebody, with an error of its own": {
			work: untilCancelled(func(context.Context) error { return errMail }), interrupt: jobCancel,
			outcome: "cancelled", cause: "cancel", state: rivertype.JobStateCancelled, errors: 1,
		},
		"cancelled by somebody, and yet completed": {
			work: untilCancelled(func(context.Context) error { return nil }), interrupt: jobCancel,
			outcome: "completed", state: rivertype.JobStateCompleted,
		},
		"timed out": {
			work: untilCancelled(ctxErr), timeout: 20 * time.Millisecond,
			outcome: "timed_out", errorType: "timeout", status: codes.Error,
			state: rivertype.JobStateDiscarded, errors: 1,
		},
		"timed out, with an error of its own": {
			work: untilCancelled(func(context.Context) error { return errMail }), timeout: 20 * time.Millisecond,
			outcome: "timed_out", errorType: "timeout", status: codes.Error,
			state: rivertype.JobStateDiscarded, errors: 1,
		},
		"snoozed after its timeout": {
			work:    untilCancelled(func(context.Context) error { return river.JobSnooze(time.Hour) }),
			timeout: 20 * time.Millisecond,
			outcome: "cancelled", cause: "cancel", snoozed: 3600.0, state: rivertype.JobStateScheduled,
		},
		"a timeout of what it called": {
			work: func(ctx context.Context, _ *river.Job[mailArgs]) error {
				ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
				<-ctx.Done()
				return ctx.Err()
			},
			outcome: "failed", errorType: "context.deadlineExceededError", status: codes.Error,
			state: rivertype.JobStateDiscarded, errors: 1,
		},
		"soft stop": {
			work: untilCancelled(ctxErr), interrupt: stop, softStop: time.Millisecond,
			outcome: "cancelled", cause: "shutdown", state: rivertype.JobStateAvailable,
		},
		"soft stop, and the cause": {
			work: untilCancelled(context.Cause), interrupt: stop, softStop: time.Millisecond,
			outcome: "cancelled", cause: "shutdown", state: rivertype.JobStateAvailable,
		},
		"soft stop, with an error of its own": {
			work:      untilCancelled(func(context.Context) error { return errMail }),
			interrupt: stop, softStop: time.Millisecond,
			outcome: "failed", errorType: "*errors.errorString", status: codes.Error,
			state: rivertype.JobStateDiscarded, errors: 1,
		},
		"cancels itself in a soft stop": {
			work:      untilCancelled(func(context.Context) error { return river.JobCancel(errMail) }),
			interrupt: stop, softStop: time.Millisecond,
			outcome: "cancelled", cause: "cancel", state: rivertype.JobStateCancelled, errors: 1,
		},
		"StopAndCancel": {
			work: untilCancelled(ctxErr), interrupt: stopAndCancel,
			outcome: "cancelled", cause: "shutdown", state: rivertype.JobStateAvailable,
		},
		"the context of Start ends": { // River counts that as an error
			work: untilCancelled(ctxErr), interrupt: cancelStart,
			outcome: "cancelled", cause: "shutdown", state: rivertype.JobStateDiscarded, errors: 1,
		},
	}
	onEach(t, func(t *testing.T, db database) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) { test.run(t, db) })
		}
	})
}

// run runs a job in a queue of its own, on a client of its own.
func (test outcomeTest) run(t *testing.T, db database) {
	tel, running := newTelemetry(t), make(chan struct{})
	config := newConfig(riverq.New(riverq.WithMiddleware(tel.middleware())))
	config.JobTimeout, config.SoftStopTimeout, config.MaxAttempts = test.timeout, test.softStop, 1
	queue := newQueue()
	config.Queues = map[string]river.QueueConfig{queue: {MaxWorkers: 1}}
	river.AddWorker(config.Workers, river.WorkFunc(func(ctx context.Context, job *river.Job[mailArgs]) error {
		close(running)
		return test.work(ctx, job)
	}))
	c, err := db.client(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	require.NoError(t, c.Start(ctx))
	defer c.StopAndCancel(context.Background()) //nolint:errcheck // it may be stopped
	inserted, err := c.Insert(t.Context(), mailArgs{"o-1"}, &river.InsertOpts{Queue: queue})
	require.NoError(t, err)
	<-running
	if test.interrupt != nil {
		test.interrupt(t, c, cancel, inserted.Job.ID)
	}

	job := awaitState(t, c, inserted.Job.ID, test.state)
	assert.Len(t, job.Errors, test.errors)
	span := tel.span(t, "send_mail")
	assert.Equal(t, test.outcome, value(span, "afterspan.task.outcome"))
	assert.Equal(t, test.cause, value(span, "afterspan.task.cancel_cause"))
	assert.Equal(t, test.snoozed, value(span, "river.snoozed"))
	assert.Equal(t, true, value(span, "river.last_attempt"))
	assert.Equal(t, test.errorType, value(span, "error.type"))
	assert.Equal(t, test.status, span.Status().Code)
}

var queues atomic.Int64

// newQueue returns the name of a queue that nobody else uses.
func newQueue() string { return fmt.Sprintf("queue_%d", queues.Add(1)) }

// A panic is River's as well: it calls HandlePanic with the value, and stores its text and a trace.
func TestPanic(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		tel, handler := newTelemetry(t), &panicHandler{}
		config := newConfig(riverq.New(riverq.WithMiddleware(tel.middleware()), riverq.WithLogger(quiet)))
		config.ErrorHandler, config.MaxAttempts = handler, 1
		river.AddWorker(config.Workers, river.WorkFunc(func(context.Context, *river.Job[mailArgs]) error {
			panic(errMail)
		}))
		c := startClient(context.Background(), t, db, config)
		inserted, err := c.Insert(t.Context(), mailArgs{"o-1"}, nil)
		require.NoError(t, err)
		job := awaitState(t, c, inserted.Job.ID, rivertype.JobStateDiscarded)
		assert.Equal(t, errMail, handler.value.Load())
		require.Len(t, job.Errors, 1)
		assert.Equal(t, errMail.Error(), job.Errors[0].Error)
		assert.NotEmpty(t, job.Errors[0].Trace)
		span := tel.span(t, "send_mail")
		assert.Equal(t, "panic", value(span, "error.type"))
		require.Len(t, span.Events(), 1)
		assert.Contains(t, stackOf(span), "dbtest.TestPanic")
	})
}

func stackOf(span sdktrace.ReadOnlySpan) string {
	for _, a := range span.Events()[0].Attributes {
		if a.Key == "exception.stacktrace" {
			return a.Value.AsString()
		}
	}
	return ""
}

type panicHandler struct{ value atomic.Value }

func (*panicHandler) HandleError(context.Context, *rivertype.JobRow, error) *river.ErrorHandlerResult {
	return nil
}

func (h *panicHandler) HandlePanic(_ context.Context, _ *rivertype.JobRow, value any, _ string) *river.ErrorHandlerResult {
	h.value.Store(value)
	return nil
}
