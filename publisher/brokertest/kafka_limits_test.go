package brokertest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
)

func TestKafkaTakesRecordsUpToTheClientsLimits(t *testing.T) {
	const limit = 100_000
	k := startKafka(t)
	for name, opts := range map[string][]kgo.Opt{
		"ProducerBatchMaxBytes":   {kgo.ProducerBatchMaxBytes(limit)},
		"ProducerBatchMaxBytesFn": {kgo.ProducerBatchMaxBytesFn(func(string) int32 { return limit })},
		"MaxBufferedBytes":        {kgo.MaxBufferedBytes(limit)},
	} {
		t.Run(name, func(t *testing.T) {
			client := k.client(t, opts...)
			topic := k.topic(t, client, 1)
			for _, encoding := range allEncodings {
				p := kafkapub.New(client, topic, kafkapub.WithEncoding(encoding))
				requireExact(t, p, "record", limit, 1, growContent)
			}
			require.Len(t, k.read(t, topic, len(allEncodings)), len(allEncodings))
		})
	}
}

// The brokers refuse a whole batch, so an error of theirs does not say which of its records is the
// culprit. Only a timestamp that is far ahead tells, or a key that is missing.
func TestKafkaMarksOnlyTheCulprit(t *testing.T) {
	k, client, topic := oneTopic(t)
	p := kafkapub.New(client, topic)
	early := about("thread-1")
	early.Timestamp = time.Now().Add(2 * time.Hour)
	for _, tc := range []struct {
		refusal *kerr.Error
		event   publisher.Event
		want    bool
	}{
		{kerr.InvalidTimestamp, early, true},
		{kerr.InvalidTimestamp, about("thread-1"), false},
		{kerr.InvalidRecord, about(""), true},
		{kerr.InvalidRecord, about("thread-1"), false},
		{kerr.MessageTooLarge, about("thread-1"), false},
		{kerr.TopicAuthorizationFailed, about("thread-1"), false},
	} {
		k.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: tc.refusal})
		err := p.Publish(t.Context(), tc.event)
		require.ErrorIs(t, err, tc.refusal)
		require.Equal(t, tc.want, publisher.IsPermanent(err), "%v of %+v", err, tc.event)
	}
}
