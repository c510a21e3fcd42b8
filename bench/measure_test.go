package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A sample is as big as it was asked for, or the loop of prepare does not end.
func TestPrepare(t *testing.T) {
	g := groups()[0]
	n, err := prepare(oneGoroutine, g.variants[0], g.job(g.variants[0]), time.Millisecond)
	require.NoError(t, err)
	require.Positive(t, n)
}
