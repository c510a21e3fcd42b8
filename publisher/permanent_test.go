package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

var errTooLarge = errors.New("broker: the event is too large")

// refuse refuses the event for good.
func refuse(context.Context, publisher.Event) error { return publisher.Permanent(errTooLarge) }

func TestPermanentKeepsTextAndTree(t *testing.T) {
	require.NoError(t, publisher.Permanent(nil))
	err := publisher.Permanent(fmt.Errorf("publish: %w", errTooLarge))
	require.EqualError(t, err, "publish: "+errTooLarge.Error())
	require.ErrorIs(t, err, errTooLarge)
	var as *connectError
	require.ErrorAs(t, publisher.Permanent(&connectError{"no"}), &as)
}

type unwell bool

func (u unwell) Error() string   { return "unwell" }
func (u unwell) Permanent() bool { return bool(u) }

func TestIsPermanentSeesTheMarkThroughOtherErrors(t *testing.T) {
	marked := publisher.Permanent(errTooLarge)
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"nil":                      {nil, false},
		"not marked":               {errTooLarge, false},
		"marked":                   {marked, true},
		"marked twice":             {publisher.Permanent(marked), true},
		"wrapped":                  {fmt.Errorf("adapter: %w", marked), true},
		"wrapped with a cause":     {fmt.Errorf("%w: %w", core.ErrTimeout, marked), true},
		"redacted":                 {publisher.Redact(fmt.Errorf("redis://user:hunter2@h: %w", marked)), true},
		"a type of one's own":      {unwell(true), true},
		"a type that says no":      {unwell(false), false},
		"the outermost decides":    {fmt.Errorf("a: %w", publisher.Permanent(unwell(false))), true},
		"the end of a context":     {context.DeadlineExceeded, false},
		"a panic of somebody else": {&core.PanicError{Value: "no"}, false},
	} {
		assert.Equal(t, tc.want, publisher.IsPermanent(tc.err), name)
	}
}

func TestPanicBehindBoundIsPermanent(t *testing.T) {
	for name, f := range map[string]func() error{
		"panic": func() error { panic(errBroker) }, "Goexit": func() error { runtime.Goexit(); return nil }, "nil": nil,
	} {
		assert.True(t, publisher.IsPermanent(publisher.Bound(t.Context(), f)), name)
	}
	assert.False(t, publisher.IsPermanent(publisher.Bound(cancelled(), func() error { return nil })))
}

// As long as one sink may still take the event, a retry is worth it.
func TestErrorOfMultiIsPermanentIfAllFailedSinksAre(t *testing.T) {
	sink, panics := &inbox{}, publisher.Func(func(context.Context, publisher.Event) error { panic("no") })
	for name, tc := range map[string]struct {
		sinks []publisher.Publisher
		want  bool
	}{
		"one refuses":               {[]publisher.Publisher{publisher.Func(refuse)}, true},
		"one panics":                {[]publisher.Publisher{panics}, true},
		"the others have it":        {[]publisher.Publisher{sink, publisher.Func(refuse), panics}, true},
		"one is only away":          {[]publisher.Publisher{publisher.Func(refuse), publisher.Func(fail)}, false},
		"in another Multi":          {[]publisher.Publisher{publisher.Multi(panics), publisher.Func(refuse)}, true},
		"one of the other is away":  {[]publisher.Publisher{publisher.Multi(panics, publisher.Func(fail)), panics}, false},
		"one outlasts the attempts": {[]publisher.Publisher{publisher.Func(obey), panics}, false},
	} {
		inBubble(t, name, func(t *testing.T) {
			err := publisher.Multi(tc.sinks...).Publish(within(t, time.Second), full())
			require.Error(t, err)
			assert.Equal(t, tc.want, publisher.IsPermanent(err), "%v", err)
		})
	}
}

func TestAnEventThatCannotBeSentIsPermanent(t *testing.T) {
	for name, e := range map[string]publisher.Event{
		"no kind": {Type: "t"}, "no type": {Kind: "k"}, "a channel": {Kind: "k", Type: "t", Data: map[string]any{"x": make(chan int)}},
	} {
		m := newManager()
		for way, start := range ways(m, &inbox{}) {
			assert.True(t, publisher.IsPermanent(start(t.Context(), e).Wait(t.Context())), "%s, %s", name, way)
		}
	}
	bad := publisher.Event{Kind: "k", Type: "t", Data: map[string]any{"x": make(chan int)}}
	for _, enc := range encodings {
		_, err := enc.Encode(t.Context(), bad, "ce_")
		assert.True(t, publisher.IsPermanent(err), enc)
	}
	for name, p := range map[string]publisher.Publisher{
		"Console": publisher.Console(io.Discard), "JSON lines": publisher.Console(io.Discard, publisher.WithJSONLines()),
		"Slog": publisher.Slog((&logbook{}).logger()), "Multi": publisher.Multi(&inbox{}),
	} {
		assert.True(t, publisher.IsPermanent(p.Publish(t.Context(), bad)), name)
	}
}

// The RetryFuncs that know nothing of IsPermanent: each obeys its context, or gives up by itself.
func retries() map[string]publisher.RetryFunc {
	return map[string]publisher.RetryFunc{
		"pauses":               every(time.Minute, -1),
		"gives up by itself":   every(time.Minute, 3),
		"returns only ctx.Err": func(ctx context.Context, publish func(context.Context) error) error { return untilDone(ctx, publish) },
		"swallows the error": func(ctx context.Context, publish func(context.Context) error) error {
			_ = untilDone(ctx, publish)
			return nil
		},
		"tries with no context": func(ctx context.Context, publish func(context.Context) error) error {
			for publish(context.WithoutCancel(ctx)) != nil && ctx.Err() == nil {
			}
			return ctx.Err()
		},
	}
}

func untilDone(ctx context.Context, publish func(context.Context) error) error {
	for publish(ctx) != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
		}
	}
	return nil
}

func TestAPoisonEventIsTriedOnceAndTheNextOfItsKeyGoesOn(t *testing.T) {
	for name, retry := range retries() {
		for kind, poison := range map[string]publisher.Func{
			"refused":             refuse,
			"panics behind Multi": publisher.Multi(publisher.Func(func(context.Context, publisher.Event) error { panic(errTooLarge) })).Publish,
		} {
			inBubble(t, name+", "+kind, func(t *testing.T) {
				m, sink, attempts, began := newManager(), &inbox{}, 0, time.Now()
				o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
					if e.Content != "poison" {
						return sink.Publish(ctx, e)
					}
					attempts++
					return poison(ctx, e)
				}), publisher.WithRetry(retry))
				task := o.Go(t.Context(), small("t-1", "poison"))
				o.Go(t.Context(), small("t-1", "next"))
				require.NoError(t, m.Wait(t.Context()))
				require.ErrorIs(t, task.Err(), errTooLarge)
				assert.True(t, publisher.IsPermanent(task.Err()))
				assertOutcome(t, core.Failed, task)
				assert.Equal(t, []uint64{2}, sink.sequences("t-1"), "the next event shows the gap")
				assert.Equal(t, 1, attempts)
				assert.Zero(t, time.Since(began), "no retry waited")
			})
		}
	}
}

// An outage is retried as before, also after it has made way for a permanent error.
func TestAnOutageIsRetriedUntilTheBrokerRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, attempts := newManager(), 0
		o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
			if attempts++; attempts < 3 {
				return errBroker
			}
			return refuse(ctx, e)
		}), publisher.WithRetry(every(time.Minute, -1)))
		require.ErrorIs(t, requireEnds(t, o.Go(t.Context(), small("t-1", ""))), errTooLarge)
		assert.Equal(t, 3, attempts)
		require.NoError(t, m.Wait(t.Context()))
	})
}

// There are as many poison events as the manager has slots, each in a thread of its own.
func TestPoisonEventsDoNotStarveOtherThreads(t *testing.T) {
	const slots = 4
	for name, tc := range map[string]struct {
		poison publisher.Func
		opts   []core.TaskOption
	}{
		"known to be permanent":     {refuse, nil},
		"not known, with a timeout": {fail, []core.TaskOption{core.WithTimeout(time.Minute)}},
	} {
		inBubble(t, name, func(t *testing.T) {
			m, sink := newManager(core.WithLimit(slots, -1)), &inbox{}
			o := publisher.NewOrdered(m, publisher.Func(func(ctx context.Context, e publisher.Event) error {
				if e.Content == "poison" {
					return tc.poison(ctx, e)
				}
				return sink.Publish(ctx, e)
			}), publisher.WithRetry(every(time.Second, -1)))
			for i := range slots {
				o.Go(t.Context(), small(fmt.Sprint("poisoned-", i), "poison"), tc.opts...)
			}
			healthy := o.Go(t.Context(), small("healthy", "arrives"))
			require.NoError(t, requireEnds(t, healthy))
			require.NoError(t, m.Wait(t.Context()))
			assert.Equal(t, []string{"arrives"}, sink.contents())
		})
	}
}
