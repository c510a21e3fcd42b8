package publisher

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// idle numbers events of n other keys.
func (s *sequence) idle(n int) {
	for range n {
		s.number(Event{ThreadID: "other " + strconv.Itoa(fresh())})
	}
}

var fresh = func() func() int { n := 0; return func() int { n++; return n } }()

func (s *sequence) next(key string) uint64 { return s.number(Event{ThreadID: key}).Sequence }

func TestASequenceKnowsSoManyKeysAndNoMore(t *testing.T) {
	var s sequence
	for range 10 {
		s.idle(maxKeys)
		require.LessOrEqual(t, len(s.recent), maxKeys)
		require.LessOrEqual(t, len(s.past), maxKeys)
	}
}

func TestAKeyThatIsUsedIsNeverForgotten(t *testing.T) {
	var s sequence
	for i := range 40 {
		require.EqualValues(t, i+1, s.next("busy"))
		s.idle(maxKeys/10 + i)
	}
}

func TestAKeyIsKnownUntilAsManyOthersHaveCome(t *testing.T) {
	for _, before := range []int{0, 1, maxKeys / 2, maxKeys - 2, maxKeys - 1, maxKeys, maxKeys + 1} {
		var s sequence
		s.idle(before)
		require.EqualValues(t, 1, s.next("k"))
		s.idle(maxKeys - 1)
		assert.EqualValues(t, 2, s.next("k"), "after %d other keys, and then as many as a sequence remembers", before)
	}
}

// A forgotten key starts at 1 again, as after a restart. The numbers of other keys have no gap.
func TestAKeyThatWasForgottenStartsAtOne(t *testing.T) {
	var s sequence
	s.next("long ago")
	s.next("long ago")
	s.idle(3 * maxKeys)
	assert.EqualValues(t, 1, s.next("long ago"))
	assert.EqualValues(t, 1, s.next("new"))
	assert.EqualValues(t, 2, s.next("new"))
}

// ordered_buffer_test.go tests that a buffer has a limit. This test looks at the fields, since
// filling the default buffer takes a hundred thousand events.
func TestTheDefaultBufferIs1000PerKeyAnd100000InAll(t *testing.T) {
	o := NewOrdered(core.New(), Slog(nil))
	require.Equal(t, 1_000, o.keyed.PerKey)
	require.Equal(t, 100_000, o.keyed.Total)
	require.False(t, o.keyed.Blocking)
}

func TestASequenceSpendsLittleOnAKey(t *testing.T) {
	var s sequence
	for _, n := range []int{1, maxKeyBytes, maxKeyBytes + 1, 1 << 20} {
		s.next(strings.Repeat("k", n))
	}
	require.Len(t, s.recent, 4)
	for key := range s.recent {
		assert.LessOrEqual(t, len(key), maxKeyBytes)
	}
}
