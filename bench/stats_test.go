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

// A ratio is the median of the rounds' ratios, not the ratio of the medians.
func TestRatioIsOfTheSameRound(t *testing.T) {
	ours := []figures{{cpu: 20}, {cpu: 2}, {cpu: 300}}
	rival := []figures{{cpu: 10}, {cpu: 1}, {cpu: 100}}
	require.Equal(t, spread{2, 2, 2.5}, ratio(ours, rival))
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{2: "2", 2.04: "2", 2.06: "2.1", -0.01: "0", 249: "249"} {
		require.Equal(t, want, number(x))
	}
}
