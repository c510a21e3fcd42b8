//go:build !race

package publisher_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
)

// What an event allocates until its task has ended, as the package documentation says: a budget, so
// that it stays so. The race detector allocates, too.
func TestAllocationsOfAnEvent(t *testing.T) {
	m, ended := newManager(), make(chan struct{})
	sink := publisher.Func(func(context.Context, publisher.Event) error { ended <- struct{}{}; return nil })
	ordered := publisher.NewOrdered(m, sink)
	unordered := func(e publisher.Event) *core.Task { return publisher.Go(context.Background(), m, sink, e) }
	inOrder := func(e publisher.Event) *core.Task { return ordered.Go(context.Background(), e) }
	event := small("t-1", "Where is my order?")
	withData := event
	withData.Data = map[string]any{"tokens": 42, "model": "small"}
	for _, tc := range []struct {
		name  string
		call  func(publisher.Event) *core.Task
		event publisher.Event
		most  float64
	}{
		{"Go", unordered, event, 18},
		{"Go, with two values in Data", unordered, withData, 24},
		{"Ordered", inOrder, event, 26},
		{"Ordered, with two values in Data", inOrder, withData, 32},
	} {
		t.Run(tc.name, func(t *testing.T) {
			allocs := testing.AllocsPerRun(500, func() {
				tc.call(tc.event)
				<-ended
			})
			require.LessOrEqual(t, allocs, tc.most)
		})
	}
	require.NoError(t, m.Wait(t.Context()))
}
