package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	require.Equal(t, spread{7, 7, 7}, spreadOf([]float64{7}))
	require.Equal(t, spread{1.25, 1.5, 1.75}, spreadOf([]float64{2, 1}))
	require.Equal(t, spread{2, 3, 4}, spreadOf([]float64{5, 1, 4, 2, 3}))
}

// A ratio is that of each round, not that of the medians.
func TestRatioIsOfTheSameRound(t *testing.T) {
	ours := []figures{{cpu: 20}, {cpu: 2}, {cpu: 300}}
	rival := []figures{{cpu: 10}, {cpu: 1}, {cpu: 100}}
	require.Equal(t, spread{2, 2, 2.5}, ratio(ours, rival, cpuOf))
	require.Equal(t, spread{5.5, 10, 105}, excess(ours, rival, cpuOf))
}

func TestFiguresPerTask(t *testing.T) {
	require.Equal(t, figures{cpu: 1, wall: 2, bytes: 3, allocs: 4}, figures{cpu: 10, wall: 20, bytes: 30, allocs: 40}.per(10))
}

func TestNumbers(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{number(2), "2"},
		{number(2.04), "2"},
		{number(2.06), "2.1"},
		{number(-0.01), "0"},
		{factor(0.456), "0.46"},
		{factor(12.34), "12.3"},
		{thousands(1), "1"},
		{thousands(1000), "1,000"},
		{thousands(1_000_000), "1,000,000"},
	} {
		require.Equal(t, tc.want, tc.got)
	}
}
