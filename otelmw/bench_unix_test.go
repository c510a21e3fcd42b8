//go:build unix

package otelmw_test

import (
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/otelmw"
)

// BenchmarkTaskAgainst is what a task costs as a multiple of what its rival does, in CPU time of the process, with both
// in the same run: a span against one that is written by hand, and what is off against a manager without the middleware.
//
//	go test -run xxx -bench TaskAgainst -benchtime 20000x -count 9 ./otelmw
func BenchmarkTaskAgainst(b *testing.B) {
	sampled, unsampled := samplesAll(), samplesNone()
	traced := func(tp trace.TracerProvider, opts ...otelmw.Option) way {
		return inManager(tp, append(opts, otelmw.WithTracerProvider(tp), noMetrics)...)
	}
	for _, bb := range []struct {
		name        string
		ours, rival way
	}{
		{"by-hand/sampled", traced(sampled), byHand(sampled)},
		{"by-hand/sampled-without-spawn-span", traced(sampled, otelmw.WithoutSpawnSpan()), byHand(sampled)},
		{"by-hand/unsampled", traced(unsampled), byHand(unsampled)},
		{"no-middleware/noop", inManager(sampled, noTraces, noMetrics), inManager(sampled)},
		{"no-middleware/filtered", traced(sampled, filtered), inManager(sampled)},
	} {
		b.Run(bb.name, func(b *testing.B) { compare(b, bb.ours, bb.rival) })
	}
}

// turn is how many tasks run before it is the rival's turn. It is long, since the garbage of one side may be collected in
// the turn of the other.
const turn = 8 * batch

// compare runs ours and the rival's in turn, and times and counts ours.
func compare(b *testing.B, ours, rivals way) {
	b.ReportAllocs()
	b.ResetTimer()
	var our, rival time.Duration
	for left := b.N; left > 0; left -= turn {
		n := min(left, turn)
		b.StopTimer()
		rival += cpuTime(func() { inBatches(rivals, n) })
		b.StartTimer()
		our += cpuTime(func() { inBatches(ours, n) })
	}
	b.ReportMetric(float64(our)/float64(rival), "x-rival")
}

func inBatches(w way, n int) {
	for ; n > 0; n -= batch {
		w.run(min(n, batch))
	}
}

// cpuTime returns how much CPU time the process took for f.
func cpuTime(f func()) time.Duration {
	began := rusage()
	f()
	return rusage() - began
}

func rusage() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
