package publishertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/afterspan/afterspan/publisher"
)

// The events around an event that is too large must arrive, also if they are being sent at the same
// time: the refusal must neither close their connection nor change their order.
func (k *kit) refusesTheTooLarge() {
	if k.TooLarge == nil {
		k.Skip("Target.TooLarge is nil")
	}
	const around = 20
	ctx := k.context()
	var wg sync.WaitGroup
	for i := range around {
		wg.Go(func() {
			if err := k.call(ctx, k.Publisher, numbered(fmt.Sprint("t-", i), 0)); err != nil {
				k.Errorf("Publish of an event of normal size returned %v", err)
			}
		})
	}
	for field, e := range k.TooLarge {
		wg.Go(func() { k.requireRefused(field, k.call(ctx, k.Publisher, e)) })
	}
	wg.Wait()
	k.publish(k.context(), numbered("last", 0))
	for range around + 1 {
		if got := k.receive().Event; got.Type != publisher.TypeProgress || got.Content != "" {
			k.Errorf("the event %.100s arrived", got.ID)
		}
	}
}

func (k *kit) requireRefused(field string, err error) {
	limit, ok := errors.AsType[*publisher.LimitError](err)
	switch {
	case !ok:
		k.Errorf("Publish of an event with a %s that is too large returned %.500v", field, err)
	case limit.Field != field || limit.Size <= limit.Limit || limit.By == "":
		k.Errorf("the error of a %s that is too large says %+v", field, *limit)
	case !publisher.IsPermanent(err):
		k.Errorf("the error of a %s that is too large is not permanent", field)
	}
}

func (k *kit) refusesADoneContext() {
	ctx, cancel := context.WithCancel(k.Context())
	cancel()
	err := k.call(ctx, k.Publisher, numbered("t-1", 0))
	if !errors.Is(err, context.Canceled) {
		k.Errorf("Publish returned %v", err)
	}
	k.requireTemporary(err)
}

// requireTemporary fails the test if err is permanent. The event is not to blame, and would be
// lost.
func (k *kit) requireTemporary(err error) {
	k.Helper()
	if publisher.IsPermanent(err) {
		k.Errorf("the error is permanent, although a retry may deliver the event: %v", err)
	}
}

func (k *kit) failsWhenAway() {
	if k.Away == nil {
		k.Skip("Target.Away is nil")
	}
	ctx, cancel := context.WithTimeout(k.Context(), time.Second)
	defer cancel()
	err := k.call(ctx, k.Away, numbered("t-1", 0))
	if err == nil {
		k.Error("Publish returned nil, although the server cannot be reached")
	}
	k.requireTemporary(err)
}

func (k *kit) returnsInTime() {
	if k.Stuck == nil {
		k.Skip("Target.Stuck is nil")
	}
	ctx, cancel := context.WithTimeout(k.Context(), 200*time.Millisecond)
	defer cancel()
	err := k.call(ctx, k.Stuck, numbered("t-1", 0))
	if !errors.Is(err, context.DeadlineExceeded) {
		k.Errorf("Publish returned %v", err)
	}
	k.requireTemporary(err)
}
