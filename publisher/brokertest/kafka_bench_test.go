package brokertest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/publisher"
	"github.com/afterspan/afterspan/publisher/kafkapub"
)

// This benchmark uses the fake, so it measures the client and the adapter.
func BenchmarkKafkaOrdered(b *testing.B) {
	for _, keys := range []int{1, 10, 200} {
		b.Run(fmt.Sprint(keys, " keys"), func(b *testing.B) {
			fake, err := kfake.NewCluster(kfake.SeedTopics(6, "events"))
			require.NoError(b, err)
			defer fake.Close()
			client, err := kgo.NewClient(kgo.SeedBrokers(fake.ListenAddrs()...))
			require.NoError(b, err)
			defer client.Close()
			p := kafkapub.New(client, "events")
			require.NoError(b, p.Publish(b.Context(), about("thread-0"))) // connects the client
			m := core.New()
			ordered := publisher.NewOrdered(m, p, publisher.WithBuffer(0, 0))
			b.ResetTimer()
			for i := range b.N {
				ordered.Go(b.Context(), about(fmt.Sprint("thread-", i%keys)))
			}
			_, err = m.Shutdown(b.Context())
			require.NoError(b, err)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			require.EqualValues(b, b.N, m.Stats().Completed)
		})
	}
}
