package publisher

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// What a process that lives for months keeps of its keys.

func TestSequenceKeepsABoundedNumberOfKeys(t *testing.T) {
	var s sequence
	most := 0
	for i := range 2*maxKeys + 7 {
		s.number(Event{ThreadID: strconv.Itoa(i)})
		most = max(most, len(s.last))
	}
	require.Equal(t, maxKeys, most)
}

func TestSequenceBeginsAt1AsLongAsNothingIsForgotten(t *testing.T) {
	var s sequence
	for i := range maxKeys {
		if n := s.number(Event{ThreadID: strconv.Itoa(i)}).Sequence; n != 1 {
			require.Fail(t, "it begins elsewhere", "%d: %d", i, n)
		}
	}
	require.EqualValues(t, 2, s.number(Event{ThreadID: "0"}).Sequence, "a known key makes no room")
	require.Len(t, s.last, maxKeys)
}

// Which key is forgotten when is random, and for none do the numbers ever go back.
func TestSequenceNeverGoesBack(t *testing.T) {
	var s sequence
	r := rand.New(rand.NewPCG(1, 2))
	last := make(map[string]uint64)
	for range 4 * maxKeys {
		key := strconv.Itoa(r.IntN(2 * maxKeys))
		if r.IntN(3) == 0 {
			key = "busy"
		}
		got := s.number(Event{RunID: key}).Sequence
		if got <= last[key] {
			require.Fail(t, "it went back", "%s: %d after %d", key, got, last[key])
		}
		last[key] = got
	}
	require.LessOrEqual(t, len(s.last), maxKeys)
}

func TestSequenceOfAForgottenKeyGoesOnAboveAll(t *testing.T) {
	var s sequence
	for range 10 {
		s.number(Event{ThreadID: "busy"})
	}
	for i := range maxKeys - 1 {
		s.number(Event{ThreadID: strconv.Itoa(i)})
	}
	require.EqualValues(t, 11, s.number(Event{ThreadID: "one too many"}).Sequence)
	require.EqualValues(t, 11, s.number(Event{ThreadID: "busy"}).Sequence)
	require.EqualValues(t, 11, s.number(Event{ThreadID: "0"}).Sequence)
	require.EqualValues(t, 12, s.number(Event{ThreadID: "busy"}).Sequence)
}

// That a buffer is kept is tested from outside. To fill this one takes a hundred thousand events.
func TestTheDefaultBufferIs1000PerKeyAnd100000InAll(t *testing.T) {
	o := NewOrdered(core.New(), Slog(nil))
	require.Equal(t, 1_000, o.serial.PerKey)
	require.Equal(t, 100_000, o.serial.Total)
	require.False(t, o.serial.Blocking)
}
