//go:build unix

package otelmw_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/otelmw"
)

// BenchmarkTaskAgainst is what a task costs as a multiple of what its rival does, in CPU time of the
// process, with both in the same run: a span against one that is written by hand, with the task's three
// attributes or with all that the middleware writes, and what is off against a manager without it.
//
//	go test -run xxx -bench TaskAgainst -benchtime 100000x -count 5 ./otelmw
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
		{"in-full/sampled", traced(sampled), inFull(sampled, true)},
		{"in-full/sampled-without-spawn-span", traced(sampled, otelmw.WithoutSpawnSpan()), inFull(sampled, false)},
		{"in-full/unsampled", traced(unsampled), inFull(unsampled, false)},
		{"no-middleware/noop", inManager(sampled, noTraces, noMetrics), inManager(sampled)},
		{"no-middleware/filtered", traced(sampled, filtered), inManager(sampled)},
	} {
		b.Run(bb.name, func(b *testing.B) { compare(b, bb.ours, bb.rival) })
	}
}

// turn is how many tasks run before it is the other side's turn. It is long, since the garbage of one
// side may be collected in the turn of the other.
const turn = 8 * batch

// compare runs ours and the rival's in turn, each first every other time, and reports the ratio of the
// medians: a turn in which the machine did something else does not count.
func compare(b *testing.B, ours, rivals way) {
	sides := []way{ours, rivals}
	var took [2][]time.Duration
	for round := 0; round*turn < b.N; round++ {
		for i := range sides {
			side := (round + i) % 2
			took[side] = append(took[side], cpuTime(func() { inBatches(sides[side], turn) }))
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(median(took[0]))/float64(median(took[1])), "x-rival")
	b.ReportMetric(float64(median(took[0]))/turn, "cpu-ns/task")
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
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
