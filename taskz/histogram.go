package taskz

import (
	"math/bits"
	"time"
)

// A histogram counts durations. A cell spans half an octave, from 1 µs to 200 days, so a quantile
// is wrong by a fifth at most.
type histogram struct {
	cells [cells]uint32
	n     uint32
	most  time.Duration // exact
}

const cells = 2 * 44

func (h *histogram) add(d time.Duration) {
	h.cells[cellOf(d)]++
	h.n++
	h.most = max(h.most, d)
}

// merge adds what other has counted.
func (h *histogram) merge(other *histogram) {
	if other.n == 0 {
		return
	}
	for i, n := range other.cells {
		h.cells[i] += n
	}
	h.n += other.n
	h.most = max(h.most, other.most)
}

// quantile returns the duration that a share q of all durations do not exceed, or 0 if there are
// none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint32(q * float64(h.n))
	var seen uint32
	for i, n := range h.cells {
		if seen += n; seen > rank {
			return min(middleOf(i), h.most)
		}
	}
	return h.most
}

// cellOf returns the cell of d: two for each power of two of microseconds.
func cellOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 2 {
		return int(us) // cell 0 is below 1 µs
	}
	octave := bits.Len64(us) - 1
	half := int(us>>(octave-1)) & 1
	return min(2*octave+half, cells-1)
}

// middleOf returns the value that is wrong by the same share at both ends of the cell.
func middleOf(cell int) time.Duration {
	octave, half := cell/2, cell%2
	if octave == 0 {
		return time.Duration(cell) * time.Microsecond
	}
	low := float64(uint64(2+half)<<octave) / 2
	high := low + float64(uint64(1)<<octave)/2
	return time.Duration(2 * low * high / (low + high) * float64(time.Microsecond))
}
