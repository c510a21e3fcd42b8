package core

// taskList is a list of tasks, linked through the tasks themselves: adding and removing one
// allocates nothing. A task is in one list at most.
type taskList struct {
	first, last *Task
}

func (l *taskList) push(t *Task) {
	t.prev, t.next = l.last, nil
	if l.last != nil {
		l.last.next = t
	} else {
		l.first = t
	}
	l.last = t
}

func (l *taskList) remove(t *Task) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		l.last = t.prev
	}
	t.prev, t.next = nil, nil
}

func (l *taskList) appendTo(tasks []*Task) []*Task {
	for t := l.first; t != nil; t = t.next {
		tasks = append(tasks, t)
	}
	return tasks
}
