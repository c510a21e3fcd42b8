package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// every returns a retry that pauses for d between its attempts. attempts < 0 means no limit.
func every(d time.Duration, attempts int) publisher.RetryFunc {
	return func(ctx context.Context, publish func(context.Context) error) error {
		for n := 1; ; n++ {
			err := publish(ctx)
			if err == nil || n == attempts {
				return err
			}
			select {
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx), err)
			case <-time.After(d):
			}
		}
	}
}

// flaky returns a publisher that fails the first attempts of each event.
func flaky(sink *inbox, failures int) publisher.Func {
	attempts := make(map[string]int) // needs no lock, since its tests have one key
	return func(ctx context.Context, e publisher.Event) error {
		if attempts[e.ID]++; attempts[e.ID] <= failures {
			return fmt.Errorf("attempt %d: %w", attempts[e.ID], errBroker)
		}
		return sink.Publish(ctx, e)
	}
}

func TestARetryReordersNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink, began := newManager(), &inbox{}, time.Now()
		o := publisher.NewOrdered(m, flaky(sink, 2), publisher.WithRetry(every(time.Minute, 3)))
		want := []string{}
		for i := range 10 {
			o.Go(t.Context(), small("t-1", fmt.Sprint(i)))
			want = append(want, fmt.Sprint(i))
		}
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, want, sink.contents())
		assert.Equal(t, 20*time.Minute, time.Since(began))
		assert.EqualValues(t, 10, m.Stats().Completed)
	})
}

// A consumer recognises a second attempt of the same event by its ID.
func TestAllAttemptsSendTheSameEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tel, sink := newTelemetry(), &inbox{}
		m := tel.manager()
		o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
			return errors.Join(sink.Publish(ctx, e), errBroker)
		}), publisher.WithRetry(every(time.Minute, 4)))
		o.Go(t.Context(), small("t-1", ""))
		require.NoError(t, m.Wait(t.Context()))
		attempts := sink.all()
		require.Len(t, attempts, 4)
		for _, e := range attempts {
			assert.Equal(t, attempts[0], e)
			assert.EqualValues(t, 1, e.Sequence)
		}
		assert.Equal(t, codes.Error, tel.span(t, "publish_event").Status().Code, "one span for all attempts")
	})
}

func TestAfterTheLastAttemptTheNextEventGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, sink := newManager(), &inbox{}
		o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
			if e.Content == "lost" {
				return errBroker
			}
			return sink.Publish(ctx, e)
		}), publisher.WithRetry(every(time.Minute, 3)))
		lost := o.Go(t.Context(), small("t-1", "lost"))
		o.Go(t.Context(), small("t-1", "next"))
		require.NoError(t, m.Wait(t.Context()))
		require.ErrorIs(t, lost.Err(), errBroker)
		assertOutcome(t, core.Failed, lost)
		assert.Equal(t, []uint64{2}, sink.sequences("t-1"))
	})
}

func TestATimeoutEndsARetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		o := publisher.NewOrdered(m, publisher.Func(fail), publisher.WithRetry(every(time.Minute, -1)))
		task := o.Go(t.Context(), small("t-1", ""), core.WithTimeout(90*time.Second))
		require.ErrorIs(t, requireEnds(t, task), core.ErrTimeout)
		assertOutcome(t, core.TimedOut, task)
		require.ErrorIs(t, task.Err(), errBroker)
	})
}

// A RetryFunc may give each attempt a timeout of its own.
func TestTheContextOfAnAttemptIsTheRetrysToChoose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, began := newManager(), time.Now()
		o := publisher.NewOrdered(m, publisher.Func(obey), publisher.WithRetry(
			func(ctx context.Context, publish func(context.Context) error) error {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				return publish(ctx)
			}))
		task := o.Go(t.Context(), small("t-1", ""))
		require.ErrorIs(t, requireEnds(t, task), context.DeadlineExceeded)
		assertOutcome(t, core.Failed, task) // the task itself has not timed out
		assert.Equal(t, time.Second, time.Since(began))
	})
}

func TestARetrySeesNoPasswords(t *testing.T) {
	m := newManager()
	leak := publisher.Func(func(context.Context, publisher.Event) error {
		return errors.New("dial redis://user:hunter2@localhost: refused")
	})
	o := publisher.NewOrdered(m, leak, publisher.WithRetry(func(ctx context.Context, publish func(context.Context) error) error {
		err := publish(ctx)
		requireHidden(t, err.Error()) // a RetryFunc may log it
		return errors.New("gave up: " + err.Error())
	}))
	task := o.Go(t.Context(), small("t-1", ""))
	require.EqualError(t, task.Wait(t.Context()), "gave up: dial redis://***@localhost: refused")
}

func TestARetryThatPanicsIsAFailedTask(t *testing.T) {
	m, sink := newManager(), &inbox{}
	o := publisher.NewOrdered(m, sink, publisher.WithRetry(
		func(context.Context, func(context.Context) error) error { panic("no") }))
	task := o.Go(t.Context(), small("t-1", ""))
	require.NoError(t, m.Wait(t.Context()))
	assertOutcome(t, core.Failed, task)
}

func TestWithoutARetryThereIsOneAttempt(t *testing.T) {
	for name, opts := range map[string][]publisher.OrderedOption{"the default": nil, "nil": {publisher.WithRetry(nil)}} {
		t.Run(name, func(t *testing.T) {
			m, sink := newManager(), &inbox{}
			task := publisher.NewOrdered(m, flaky(sink, 1), opts...).Go(t.Context(), small("t-1", ""))
			require.EqualError(t, task.Wait(t.Context()), "attempt 1: "+errBroker.Error())
		})
	}
}

// The RetryFunc's error says that it was interrupted, but not why the attempt failed.
func TestTheLastAttemptIsInTheError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager()
		o := publisher.NewOrdered(m, publisher.Func(fail), publisher.WithRetry(
			func(ctx context.Context, publish func(context.Context) error) error {
				_ = publish(ctx)
				<-ctx.Done()
				return context.Cause(ctx)
			}))
		task := o.Go(t.Context(), small("t-1", ""), core.WithTimeout(time.Second))
		require.NoError(t, m.Wait(t.Context()))
		require.ErrorIs(t, task.Err(), core.ErrTimeout)
		require.ErrorIs(t, task.Err(), errBroker)
		require.EqualError(t, task.Err(), core.ErrTimeout.Error()+"; the last attempt: "+errBroker.Error())
		assertOutcome(t, core.TimedOut, task)
	})
}

// An event that was not delivered must not count as delivered, whatever the RetryFunc returns.
func TestARetryCannotMakeASuccessOfAFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		retry publisher.RetryFunc
		want  string
	}{
		"without an attempt": {func(context.Context, func(context.Context) error) error { return nil }, "without calling publish"},
		"after a failure": {func(ctx context.Context, publish func(context.Context) error) error {
			_ = publish(ctx)
			return nil
		}, errBroker.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager()
			task := publisher.NewOrdered(m, publisher.Func(fail), publisher.WithRetry(tc.retry)).Go(t.Context(), small("t-1", ""))
			require.NoError(t, m.Wait(t.Context()))
			assertOutcome(t, core.Failed, task)
			require.ErrorContains(t, task.Err(), tc.want)
		})
	}
}
