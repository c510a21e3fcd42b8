package brokertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

// heavy returns an event whose content has n bytes.
func heavy(n int) publisher.Event {
	return publisher.Event{Kind: publisher.KindToolExecution, Type: publisher.TypeResult, Content: strings.Repeat("x", n)}
}

// named returns an event whose thread has a name of n bytes. In Binary, the name is in two headers.
func named(n int) publisher.Event {
	return publisher.Event{Kind: publisher.KindToolExecution, Type: publisher.TypeResult, Content: "x", ThreadID: strings.Repeat("t", n)}
}

// requireLimit publishes an event that is too large, and returns its error.
func requireLimit(t *testing.T, p publisher.Publisher, field string, e publisher.Event) *publisher.LimitError {
	t.Helper()
	err := p.Publish(t.Context(), e)
	limit, ok := errors.AsType[*publisher.LimitError](err)
	require.True(t, ok, "%.500v", err)
	require.True(t, publisher.IsPermanent(err))
	require.Equal(t, field, limit.Field)
	return limit
}

// requireExact requires that the server takes the largest event that p does not refuse: that is, p
// knows the limit to the byte. grow returns an event, and each unit of n makes its field larger by
// step bytes. An event with n units is too large.
func requireExact(t *testing.T, p publisher.Publisher, field string, n, step int, grow func(n int, fill string) publisher.Event) {
	t.Helper()
	limit := requireLimit(t, p, field, grow(n, ""))
	over := limit.Size - limit.Limit
	n -= (over + step - 1) / step
	fill := strings.Repeat("f", (step-over%step)%step)
	require.NoError(t, p.Publish(t.Context(), grow(n, fill)), "a %s of %d bytes", field, limit.Limit)
	limit = requireLimit(t, p, field, grow(n, fill+"f"))
	require.Equal(t, limit.Limit+1, limit.Size, fmt.Sprintf("%+v", limit))
}

// growThread and growContent make the thread or the content larger. fill goes into another field, of
// which there is only one.
func growThread(n int, fill string) publisher.Event {
	e := named(n)
	e.NodeName = "n" + fill
	return fixed(e, "thread")
}

func growContent(n int, fill string) publisher.Event {
	e := heavy(n)
	e.Content += fill
	return fixed(e, "content")
}

// progressOf returns an event with this ID.
func progressOf(id string) publisher.Event {
	return publisher.Event{ID: id, Kind: publisher.KindNodeExecution, Type: publisher.TypeProgress}
}

// fixed returns the event with an ID and a time whose sizes do not change from one call to the next:
// CloudEvents leave out the zeros at the end of a time.
func fixed(e publisher.Event, id string) publisher.Event {
	e.ID, e.Timestamp = id, time.Unix(1_700_000_000, 0)
	return e
}
