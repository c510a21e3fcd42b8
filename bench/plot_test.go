package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlot(t *testing.T) {
	svg := plot(made())
	require.Contains(t, svg, `class="label ours">afterspan</text>`)
	require.Contains(t, svg, ">2.00</text>")
	require.NotContains(t, svg, "NaN")
	require.NotContains(t, svg, "%!")
}
