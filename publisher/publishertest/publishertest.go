// Package publishertest tests a [publisher.Publisher] against what is promised of every one of them, as
// package testing/slogtest does for handlers of log/slog. The adapters of this repository pass it on the real servers; run it on
// one of your own.
package publishertest

import (
	"context"
	"testing"
	"time"

	"github.com/afterspan/afterspan/publisher"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// A Target is a publisher to test, and the other side of it.
type Target struct {
	// Publisher sends to a destination where nothing has been sent yet.
	Publisher publisher.Publisher
	// Receive returns what arrived next at that destination. It waits for it until ctx is done.
	Receive func(ctx context.Context) (Received, error)
	// Away is a publisher like it whose server cannot be reached. nil if there is no server.
	Away publisher.Publisher
	// Stuck is a publisher like it whose server, or writer, takes what is sent and never answers. nil if that cannot be.
	Stuck publisher.Publisher
}

// Received is an event that has arrived, decoded by the adapter.
type Received struct {
	Event  publisher.Event
	Header map[string]string // with names in lower case; nil if the destination has no headers
}

// Run tests the publishers that open makes, a new one for each subtest. All that open and the publisher start must have
// ended when the cleanup functions that open registers have run.
func Run(t *testing.T, open func(t *testing.T) Target) {
	for _, test := range []struct {
		name string
		run  func(*kit)
	}{
		{"an event arrives as it was sent", (*kit).delivers},
		{"the smallest event is completed", (*kit).completes},
		{"the caller's event is not changed", (*kit).leavesTheEventAlone},
		{"events of one caller arrive in order", (*kit).keepsOrder},
		{"Ordered keeps the order of each key", (*kit).keepsOrderOfKeys},
		{"many callers at once", (*kit).takesManyCallers},
		{"the trace travels", (*kit).carriesTheTrace},
		{"the trace of the origin stays", (*kit).keepsTheOrigin},
		{"a mebibyte", (*kit).takesBigEvents},
		{"odd text", (*kit).takesOddText},
		{"invalid UTF-8 is replaced", (*kit).replacesInvalidUTF8},
		{"what cannot be marshalled is refused", (*kit).refusesTheUnserialisable},
		{"a context that is done", (*kit).refusesADoneContext},
		{"a server that is away", (*kit).failsWhenAway},
		{"a server that hangs", (*kit).returnsInTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			requireNoLeak(t)
			test.run(&kit{T: t, Target: open(t)})
		})
	}
}

// kit is one subtest.
type kit struct {
	*testing.T
	Target
	received int
}

// context returns a context that ends when a test has waited long enough.
func (k *kit) context() context.Context {
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	k.Cleanup(cancel)
	return ctx
}

func (k *kit) publish(ctx context.Context, e publisher.Event) {
	k.Helper()
	if err := k.Publisher.Publish(ctx, e); err != nil {
		k.Fatalf("Publish: %v", err)
	}
}

func (k *kit) receive() Received {
	k.Helper()
	got, err := k.Receive(k.context())
	if err != nil {
		k.Fatalf("%d events have arrived, and not one more: %v", k.received, err)
	}
	k.received++
	return got
}
