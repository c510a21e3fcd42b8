package brokertest

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/natspub"
)

// tooLargeForNATS and tooLargeForStreams return events for the conformance kit. A stream has a limit
// of its own for headers, which have fields of the event only in Binary.
func tooLargeForNATS() map[string]publisher.Event {
	return map[string]publisher.Event{"message": heavy(8 << 20)}
}

func tooLargeForStreams(encoding publisher.Encoding) map[string]publisher.Event {
	events := tooLargeForNATS()
	if encoding == publisher.Binary {
		events["headers"] = named(65_536)
	}
	return events
}

func TestNATSTakesEventsUpToItsLimits(t *testing.T) {
	_, url := startNATS(t)
	nc := connectNATS(t, url)
	js := jetStreamOf(t, nc)
	stream := createStream(t, js, "EVENTS", "events.>")
	subject := natspub.WithSubjectFunc(func(e publisher.Event) string { return "events." + e.RunID })
	inStream, inCore := natspub.New(js, "events.x", subject), natspub.NewCore(nc, "core.x", subject)
	withHeaders := natspub.New(js, "events.x", natspub.WithEncoding(publisher.Binary))

	t.Run("subject", func(t *testing.T) {
		for _, p := range []publisher.Publisher{inStream, inCore} {
			requireExact(t, p, "subject", 4000, 1, func(n int, fill string) publisher.Event {
				return fixed(publisher.Event{Kind: "k", Type: "t", RunID: strings.Repeat("r", n) + fill}, "subject")
			})
		}
	})
	t.Run("message", func(t *testing.T) {
		for _, p := range []publisher.Publisher{natspub.New(js, "events.x"), natspub.NewCore(nc, "core")} {
			requireExact(t, p, "message", 8<<20, 1, growContent)
		}
	})
	t.Run("headers", func(t *testing.T) {
		requireExact(t, withHeaders, "headers", 40_000, 2, growThread)
	})
	require.Zero(t, nc.Stats().Reconnects, "the server has closed no connection")
	require.EqualValues(t, 3, storedIn(t, stream), "one of each kind: the two with the same subject have the same ID")
}

// A stream may have a limit of its own, which only its answer tells.
func TestARefusalOfAStreamBecauseOfTheSizeIsPermanent(t *testing.T) {
	_, url := startNATS(t)
	js := jetStreamOf(t, connectNATS(t, url))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SMALL", Subjects: []string{"small"}, MaxMsgSize: 1000})
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "FULL", Subjects: []string{"full"}, MaxMsgs: 1, Discard: jetstream.DiscardNew,
	})
	require.NoError(t, err)

	err = natspub.New(js, "small").Publish(t.Context(), heavy(2000))
	var refusal *jetstream.APIError
	require.ErrorAs(t, err, &refusal)
	require.True(t, publisher.IsPermanent(err), "%v", err)

	full := natspub.New(js, "full")
	require.NoError(t, full.Publish(t.Context(), heavy(1)))
	err = full.Publish(t.Context(), heavy(1))
	require.ErrorAs(t, err, &refusal)
	require.False(t, publisher.IsPermanent(err), "a stream that is full has room again one day: %v", err)

	err = natspub.New(js, "nobody").Publish(t.Context(), heavy(1))
	require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
	require.False(t, publisher.IsPermanent(err), "somebody may create the stream")
}

func TestAnEventWithoutAValidSubjectIsPermanent(t *testing.T) {
	nc := &nats.Conn{}
	p := natspub.NewCore(nc, "", natspub.WithSubjectFunc(func(e publisher.Event) string { return "a b" }))
	require.True(t, publisher.IsPermanent(p.Publish(t.Context(), heavy(1))))
}
