package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every task of every variant runs exactly once, with a live context, and its engine ends without a complaint.
func TestEveryTaskRuns(t *testing.T) {
	for _, g := range groups() {
		for _, v := range g.variants {
			for _, m := range g.modes {
				t.Run(g.name+"/"+v.name+"/"+m.name, func(t *testing.T) {
					require.NoError(t, check(m, v, g.job(v), 700))
				})
			}
		}
	}
}
