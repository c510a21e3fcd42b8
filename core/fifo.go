package core

// A fifo is a queue of tasks that are in a taskList as well. It has a slice of its own, which allocates nothing once it has grown.
type fifo struct {
	tasks []*Task
	head  int // index of the first; there is nothing before it
}

// mostKept is the capacity that an empty fifo keeps: after a burst of a million it gives the memory back.
const mostKept = 1024

func (q *fifo) len() int { return len(q.tasks) - q.head }

func (q *fifo) push(t *Task) {
	if len(q.tasks) == cap(q.tasks) && q.head > len(q.tasks)/2 { // it never gets empty: use what is free in front
		n := copy(q.tasks, q.tasks[q.head:])
		clear(q.tasks[n:])
		q.tasks, q.head = q.tasks[:n], 0
	}
	q.tasks = append(q.tasks, t)
}

// pop returns the task that was pushed first, or nil.
func (q *fifo) pop() *Task {
	if q.len() == 0 {
		return nil
	}
	t := q.tasks[q.head]
	q.tasks[q.head] = nil
	q.head++
	switch {
	case q.len() > 0:
	case cap(q.tasks) > mostKept:
		*q = fifo{}
	default:
		q.tasks, q.head = q.tasks[:0], 0
	}
	return t
}
