package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every target is about something that is measured.
func TestTargetsAreMeasured(t *testing.T) {
	measured := map[key]bool{}
	for _, g := range groups() {
		for _, v := range g.variants {
			for _, m := range g.modes {
				k := key{g.name, m.name, v.name}
				require.False(t, measured[k], "%v is there twice", k)
				measured[k] = true
			}
		}
	}
	for _, target := range targets() {
		for _, mode := range target.modes {
			ours, rival := target.keys(mode)
			require.True(t, measured[ours], ours)
			require.True(t, measured[rival], rival)
		}
	}
}
