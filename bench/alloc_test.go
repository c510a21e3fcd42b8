package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a task of ours allocates is within the targets that are met.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	for _, target := range targets() {
		if target.allocs == 0 {
			continue
		}
		for _, g := range groups() {
			for _, v := range g.variants {
				if g.name != target.ours.group || v.name != target.ours.variant {
					continue
				}
				f, err := sample(oneGoroutine, v, g.job(v), 20_000)
				require.NoError(t, err)
				require.LessOrEqual(t, tenths(f.allocs), target.allocs, v.name)
			}
		}
	}
}
