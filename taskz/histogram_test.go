package taskz

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A quantile is wrong by a fifth at most, over all magnitudes.
func TestQuantiles(t *testing.T) {
	for _, scale := range []time.Duration{time.Microsecond * 5, time.Millisecond, time.Second, time.Minute, time.Hour, 100 * time.Hour} {
		var h histogram
		var all []time.Duration
		for range 10_000 {
			d := time.Duration(float64(scale) * (0.5 + rand.ExpFloat64()))
			h.add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.95, 0.99} {
			want := all[int(q*float64(len(all)))]
			require.InEpsilon(t, want, h.quantile(q), 0.201, "%v of %v", q, scale)
		}
		require.Equal(t, all[len(all)-1], h.most)
		require.Equal(t, h.most, h.quantile(1))
	}
}

func TestHistogramAtItsEdges(t *testing.T) {
	var h histogram
	require.Zero(t, h.quantile(0.5))
	for _, d := range []time.Duration{-time.Second, 0, time.Nanosecond} {
		h.add(d)
	}
	require.Zero(t, h.quantile(0.5))
	h = histogram{}
	h.add(1000 * time.Hour)
	require.Positive(t, h.quantile(0.5))
	require.LessOrEqual(t, h.quantile(0.5), h.most)
	previous := -1
	for d := 2 * time.Microsecond; d < 100*24*time.Hour; d = d * 11 / 10 {
		cell := cellOf(d)
		require.GreaterOrEqual(t, cell, previous)
		require.InEpsilon(t, d, middleOf(cell), 0.201, d)
		require.Less(t, cell, cells)
		previous = cell
	}
}

func TestMerge(t *testing.T) {
	var a, b, none histogram
	a.add(time.Second)
	b.add(time.Minute)
	b.add(time.Minute)
	a.merge(&b)
	a.merge(&none)
	require.EqualValues(t, 3, a.n)
	require.Equal(t, time.Minute, a.most)
	require.InEpsilon(t, time.Minute, a.quantile(0.5), 0.2)
}
