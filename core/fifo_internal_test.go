package core

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Against a slice from which the first is cut off, with queues that get empty, and that never do.
func TestFifo(t *testing.T) {
	for _, pushes := range []float64{0.4, 0.5, 0.6} {
		var q fifo
		var want []*Task
		for range 20_000 {
			if rand.Float64() < pushes {
				task := &Task{}
				q.push(task)
				want = append(want, task)
			} else if len(want) == 0 {
				require.Nil(t, q.pop())
			} else {
				require.Same(t, want[0], q.pop())
				want = want[1:]
			}
			require.Equal(t, len(want), q.len())
		}
	}
}

func TestFifoDoesNotGrowWhileItsLengthDoesNot(t *testing.T) {
	var q fifo
	for range 10 {
		q.push(&Task{})
	}
	for range 10_000 {
		q.push(&Task{})
		q.pop()
	}
	require.LessOrEqual(t, cap(q.tasks), 64)
}

func TestAnEmptyFifoKeepsLittle(t *testing.T) {
	var q fifo
	for range 100_000 {
		q.push(&Task{})
	}
	for range 100_000 {
		q.pop()
	}
	require.Zero(t, cap(q.tasks))
	q.push(&Task{})
	q.pop()
	require.NotZero(t, cap(q.tasks), "a small one is kept")
	for _, left := range q.tasks[:cap(q.tasks)] {
		require.Nil(t, left, "what was popped is garbage")
	}
}

func TestFifoForgetsWhatItHasMoved(t *testing.T) {
	q := fifo{tasks: make([]*Task, 0, 8)}
	for range 8 {
		q.push(new(Task))
	}
	for range 6 {
		q.pop()
	}
	q.push(new(Task))
	for _, left := range q.tasks[len(q.tasks):cap(q.tasks)] {
		require.Nil(t, left)
	}
}
