//go:build unix

package dbtest

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/riverqueue/rivercontrib/otelriver"
	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/afterspan/afterspan/otelmw"
	"github.com/afterspan/afterspan/riverq"
)

// BenchmarkJobs measures what a job costs this process on PostgreSQL, whose own work is not in it. The
// rivals run in turns with -count:
//
//	go test -run '^$' -bench Jobs -benchtime 3000x -count 5 ./riverq/dbtest
func BenchmarkJobs(b *testing.B) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(nowhere{}))
	theirs := otelriver.NewMiddleware(&otelriver.MiddlewareConfig{
		TracerProvider: provider, MeterProvider: metricnoop.NewMeterProvider(), EnableTracePropagation: true,
	})
	ours := riverq.New(riverq.WithMiddleware(otelmw.New(
		otelmw.WithTracerProvider(provider), otelmw.WithMeterProvider(metricnoop.NewMeterProvider()))))
	db := newPostgres(b)
	migrate(b, db.migrator(b))
	ctx, request := provider.Tracer("bench").Start(b.Context(), "request")
	defer request.End()
	for name, plugins := range map[string][]rivertype.Plugin{
		"River": nil, "River+otelriver": {theirs}, "River+riverq+otelmw": {ours},
	} {
		b.Run(name, func(b *testing.B) { benchmarkJobs(ctx, b, db, plugins) })
	}
}

// benchmarkJobs inserts b.N jobs, 20 at a time, does them, and stops the client.
func benchmarkJobs(ctx context.Context, b *testing.B, db database, plugins []rivertype.Plugin) {
	var worked sync.WaitGroup
	config := newConfig(plugins...)
	config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 64}}
	river.AddWorker(config.Workers, river.WorkFunc(func(context.Context, *river.Job[mailArgs]) error {
		worked.Done()
		return nil
	}))
	c, err := db.client(config)
	require.NoError(b, err)
	worked.Add(b.N)
	began := cpuTime(b)
	b.ResetTimer()
	for left := b.N; left > 0; left -= 20 {
		_, err := c.InsertMany(ctx, mails(min(20, left)))
		require.NoError(b, err)
	}
	require.NoError(b, c.Start(ctx))
	worked.Wait()
	require.NoError(b, c.Stop(ctx))
	b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
}

// nowhere is a span processor that drops every span.
type nowhere struct{}

func (nowhere) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nowhere) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nowhere) Shutdown(context.Context) error                  { return nil }
func (nowhere) ForceFlush(context.Context) error                { return nil }

// cpuTime returns the user and system time of the process.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
