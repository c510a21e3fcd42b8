package taskz

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// An answer makes room for itself, and one that is larger than all room is not kept.
func TestSharedKeepsSoManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shared[int]{weigh: func(size int) int { return size }}
		made := 0
		get := func(key string, size int) {
			_, err := s.get(t.Context(), key, func() int { made++; return size })
			require.NoError(t, err)
			require.LessOrEqual(t, keptBy(&s), maxKept)
		}
		get("all", maxKept)
		get("all", maxKept)
		require.Equal(t, 1, made)
		get("too large", maxKept+1)
		get("too large", maxKept+1)
		require.Equal(t, 3, made)
		for i := range maxAnswers {
			get(fmt.Sprint(i), maxKept/8)
		}
		require.Equal(t, maxKept, keptBy(&s))
		time.Sleep(freshFor)
		synctest.Wait()
		require.Zero(t, keptBy(&s))
	})
}

func keptBy(s *shared[int]) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept()
}
