// Package publishertest tests a [publisher.Publisher] against the promises that every publisher
// makes, as package testing/slogtest does for handlers of log/slog. The adapters of this repository
// pass it with real servers. Run it on a publisher of your own.
package publishertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/afterspan/afterspan/publisher"
)

// patience is how long a test waits for an event or for the end of a goroutine.
const patience = 30 * time.Second

// grace is how long Publish may still run once its context is done.
const grace = 5 * time.Second

// defaultContent is how large the content of the largest event is.
const defaultContent = 1 << 20

// A Target is a publisher to test, and its destination.
type Target struct {
	// Publisher sends to a destination that is still empty.
	Publisher publisher.Publisher
	// Receive returns the next event that arrives at that destination. It waits until ctx is done.
	Receive func(ctx context.Context) (Received, error)
	// Away is a publisher of the same kind whose server cannot be reached. It is nil if there is no
	// server.
	Away publisher.Publisher
	// Stuck is a publisher of the same kind whose server, or writer, accepts data and never
	// answers. It is nil if that cannot happen.
	Stuck publisher.Publisher
	// MaxContent is how many bytes of content the destination takes at least. An event with that
	// much must arrive. The default is 1 MiB (1,048,576).
	MaxContent int
	// TooLarge has events that are larger than the destination's limits, by the Field of the
	// [publisher.LimitError] that refuses them. It is nil if the destination has no limits.
	TooLarge map[string]publisher.Event
}

// Received is an event that arrived, as the adapter decoded it.
type Received struct {
	Event  publisher.Event
	Header map[string]string // names are in lower case; nil if the destination has no headers
}

// Run tests the publishers that open returns. It calls open once for each subtest. Everything that
// open and its publisher start must have ended after the cleanup functions that open registers.
//
// The destination must take a content of 1 MiB, unless Target.MaxContent says less, text with
// control characters, and times in the years 1 to 9999. A subtest fails if Publish has not returned
// five seconds after its context is done. It leaves the call behind.
func Run(t *testing.T, open func(t *testing.T) Target) {
	for _, test := range []struct {
		name string
		run  func(*kit)
	}{
		{"an event arrives as it was sent", (*kit).delivers},
		{"missing fields are filled in", (*kit).completes},
		{"the caller's event is neither changed nor kept", (*kit).leavesTheEventAlone},
		{"events of one caller arrive in order", (*kit).keepsOrder},
		{"Ordered keeps the order of each key", (*kit).keepsOrderOfKeys},
		{"many callers publish at the same time", (*kit).takesManyCallers},
		{"an event carries the trace of its context", (*kit).carriesTheTrace},
		{"an event keeps the trace of its origin", (*kit).keepsTheOrigin},
		{"a big event arrives", (*kit).takesBigEvents},
		{"control characters and other odd text arrive", (*kit).takesOddText},
		{"invalid UTF-8 is replaced", (*kit).replacesInvalidUTF8},
		{"data that does not marshal is refused", (*kit).refusesTheUnserialisable},
		{"times at the edges arrive", (*kit).takesTimesAtTheEdges},
		{"a value arrives as it was sent, or is refused for good", (*kit).changesNoValue},
		{"an event that is too large is refused and harms no other", (*kit).refusesTheTooLarge},
		{"a context that is done is refused", (*kit).refusesADoneContext},
		{"an unreachable server is an error", (*kit).failsWhenAway},
		{"a server that hangs is not waited for", (*kit).returnsInTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			requireNoLeak(t)
			test.run(&kit{T: t, Target: open(t)})
		})
	}
}

// kit is the state of one subtest.
type kit struct {
	*testing.T
	Target
	received int
}

// context returns a context that ends when the test has waited long enough.
func (k *kit) context() context.Context {
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	k.Cleanup(cancel)
	return ctx
}

func (k *kit) publish(ctx context.Context, e publisher.Event) {
	k.Helper()
	if err := k.call(ctx, k.Publisher, e); err != nil {
		k.Fatalf("Publish: %v", err)
	}
}

var errStillRunning = errors.New("the call of Publish goes on, although its context is done")

// call calls p.Publish, and fails the test if that does not return in time.
func (k *kit) call(ctx context.Context, p publisher.Publisher, e publisher.Event) error {
	k.Helper()
	returned := make(chan error, 1)
	go func() { returned <- p.Publish(ctx, e) }()
	select {
	case err := <-returned:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-returned:
		return err
	case <-time.After(grace):
		k.Error(errStillRunning)
		return errStillRunning
	}
}

func (k *kit) receive() Received {
	k.Helper()
	got, err := k.Receive(k.context())
	if err != nil {
		k.Fatalf("no event after the first %d: %v", k.received, err)
	}
	k.received++
	return got
}
