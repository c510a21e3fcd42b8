//go:build !race

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A task allocates no more than is aimed at. The race detector allocates, too.
func TestAllocations(t *testing.T) {
	r := results{}
	for _, g := range groups() {
		if g.name == "empty" || g.name == "otelmw" || g.name == "page" {
			g.modes = []mode{oneGoroutine}
			require.NoError(t, measure(g, 1, 10_000, r))
		}
	}
	for _, a := range aims {
		if a.memory.allocs+a.memory.moreAllocs > 0 {
			ours, rival := a.keys(oneGoroutine)
			require.Contains(t, a.memory.cell(r[ours], r[rival]), ": met", a.what)
		}
	}
}
