package publisher

import (
	"context"
	"fmt"
)

// maxCalls is how many calls of one sink may be unfinished at a time. It limits the goroutines of a
// sink that hangs and ignores its context.
const maxCalls = 256

// Multi returns a publisher that sends each event to all of ps at the same time. Its Publish waits
// for all of them and returns their errors joined, each with the number and the type of the sink.
// When ctx is done, Publish stops waiting and reports ctx's error for each sink that has not
// returned. Such a sink keeps its call running. It may have up to 256 unfinished calls, and gets no
// further event until one of them returns. A panic of a sink is its error, and a [Permanent] one. The
// joined error is permanent if the errors of all sinks that failed are. Multi panics if one of ps is
// nil.
//
// With an [Ordered] around it, the slowest sink sets the pace of a key, and a retry sends the event
// to all sinks again.
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
	// Complete the event once, so that all sinks get the same one. Copy it, since a sink may still
	// use it after Publish has returned.
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
	return join(errs)
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
