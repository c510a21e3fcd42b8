package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every crowd is listed, ends when it is let go, and ends when it is cancelled.
func TestInFlight(t *testing.T) {
	r := results{}
	for _, k := range crowdKinds() {
		measureParked(fleet{3, 20}, k, r)
		measureWaiting(fleet{3, 20}, k, r)
		require.Len(t, r[key{groupDrain, "20" + inFlight, k.name}], 1)
	}
	k := crowdKinds()[2]
	measureCrowded(2000, k, settings{rounds: 2, sample: time.Millisecond}, r)
	require.Len(t, r[key{groupCrowded, "2,000" + inFlight, k.name}], 2)
}
