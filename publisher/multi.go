package publisher

import (
	"context"
	"errors"
	"fmt"
)

// maxCalls is how many calls a sink of Multi may have at a time: how many goroutines one that hangs, and does not
// look at its context, can hold on to.
const maxCalls = 256

// Multi returns a publisher that gives each event to all of ps, side by side, and returns their errors joined, each with the
// number and the type of the sink. It waits for all of them, but not for one that does not return when ctx is done: that one's
// error is then ctx's, and it may have up to 256 calls left behind before it gets no more. One that panics fails. Multi panics if
// one of ps is nil.
//
// With an [Ordered] around it, the slowest sink sets the pace of a key, and a retry gives the event to all of
// them again.
func Multi(ps ...Publisher) Publisher {
	m := make(multi, len(ps))
	for i, p := range ps {
		if isNil(p) {
			panic(fmt.Sprintf("publisher: Multi: argument %d is nil", i))
		}
		m[i] = sink{publisher: p, name: fmt.Sprintf("sink %d (%T)", i, p), calls: make(chan struct{}, maxCalls)}
	}
	return m
}

type multi []sink

type sink struct {
	publisher Publisher
	name      string
	calls     chan struct{} // holds one value for each call that has not returned
}

func (m multi) Publish(ctx context.Context, event Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// One event, and not one for each sink; and a copy, since a sink that is left behind keeps it.
	event, err := event.complete().traced(ctx).snapshot()
	if err != nil {
		return err
	}
	returned := make([]<-chan error, len(m))
	for i, s := range m {
		returned[i] = start(func() error { return s.publish(ctx, event) })
	}
	var errs []error
	for i, s := range m {
		if err := await(ctx, returned[i]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}

func (s sink) publish(ctx context.Context, event Event) error {
	select {
	case s.calls <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.calls }()
	return s.publisher.Publish(ctx, event)
}
