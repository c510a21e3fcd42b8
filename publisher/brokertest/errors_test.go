package brokertest

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/amqppub"
	"github.com/afterspan/afterspan/publisher/kafkapub"
	"github.com/afterspan/afterspan/publisher/natspub"
	"github.com/afterspan/afterspan/publisher/redispub"
)

// No server is needed: the events are refused before anything is sent.
func TestErrorsQuoteLittleOfTheEvent(t *testing.T) {
	long := strings.Repeat("x", 4<<20)
	producer, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"))
	require.NoError(t, err)
	t.Cleanup(producer.Close)
	chooseSubject := func(subject string) natspub.Option {
		return natspub.WithSubjectFunc(func(publisher.Event) string { return subject })
	}
	for name, p := range map[string]publisher.Publisher{
		"redispub":                    redispub.New(redisClient(t, "127.0.0.1:1"), "events", redispub.WithMaxBytes(1<<20)),
		"kafkapub":                    kafkapub.New(producer, "events"),
		"amqppub":                     amqppub.New(&amqp.Connection{}, "", "events"),
		"natspub, a long subject":     natspub.NewCore(&nats.Conn{}, "", chooseSubject(long)),
		"natspub, an invalid subject": natspub.NewCore(&nats.Conn{}, "", chooseSubject(" "+long)),
	} {
		t.Run(name, func(t *testing.T) {
			e := progress("t-1")
			e.ID = long
			err := p.Publish(t.Context(), e)
			require.True(t, publisher.IsPermanent(err))
			require.Less(t, len(err.Error()), 500)
		})
	}
}

func TestUnknownEncodingsPanic(t *testing.T) {
	const unknown = publisher.Encoding(9)
	for name, option := range map[string]func(){
		"amqppub":  func() { amqppub.WithEncoding(unknown) },
		"kafkapub": func() { kafkapub.WithEncoding(unknown) },
		"natspub":  func() { natspub.WithEncoding(unknown) },
		"redispub": func() { redispub.WithEncoding(unknown) },
	} {
		require.PanicsWithValue(t, name+": WithEncoding: Encoding(9) is unknown", option)
	}
}
