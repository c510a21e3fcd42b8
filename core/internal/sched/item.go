package sched

// A State says where an item is.
type State uint8

// The states.
const (
	Out      State = iota // not accepted yet, refused, or ended
	Waiting               // its caller waits for room
	Queued                // accepted, and waits for its turn or for a slot
	Running               // has a slot
	Skipped               // was cancelled while Queued, and may not pass its chain yet
	Skipping              // was cancelled while Queued, and passes its chain without a slot
)

// An Item is what a Scheduler knows of a task. It is in one list at most.
type Item[T any] struct {
	Owner T
	Key   *Key // nil: none. Not to be changed after Add

	state      State
	hasTurn    bool
	line       *line[T] // of its key, once it is accepted
	list       *list[T]
	prev, next *Item[T]
}

// State returns where the item is.
func (it *Item[T]) State() State { return it.state }

// A list is a queue of items. Adding and removing one allocates nothing.
type list[T any] struct{ first, last *Item[T] }

func (l *list[T]) push(it *Item[T]) {
	it.list, it.prev, it.next = l, l.last, nil
	if l.last != nil {
		l.last.next = it
	} else {
		l.first = it
	}
	l.last = it
}

// each calls f for the items in order until f returns false, and reports whether it went through
// all.
func (l *list[T]) each(f func(T) bool) bool {
	for it := l.first; it != nil; it = it.next {
		if !f(it.Owner) {
			return false
		}
	}
	return true
}

func (l *list[T]) pop() *Item[T] {
	it := l.first
	l.remove(it)
	return it
}

func (l *list[T]) remove(it *Item[T]) {
	if it.prev != nil {
		it.prev.next = it.next
	} else {
		l.first = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		l.last = it.prev
	}
	it.list, it.prev, it.next = nil, nil, nil
}
