package sched

// A State is the state of an item.
type State uint8

// The states.
const (
	Out      State = iota // not accepted yet, refused, or ended
	Waiting               // its caller waits for room
	Queued                // accepted; waits for its turn or for a slot
	Running               // has a slot
	Skipped               // cancelled while Queued; its chain has not begun
	Skipping              // cancelled while Queued; its chain runs without a slot
)

// An Item stands for a task in a Scheduler. It is in at most one list.
type Item[T any] struct {
	Owner T
	Key   *Key // nil: none. Constant after Add

	state      State
	hasTurn    bool
	line       *line[T] // of its key, once it is accepted
	list       *list[T]
	prev, next *Item[T]
}

// State returns the state of the item.
func (item *Item[T]) State() State { return item.state }

// A list is a queue of items. Adding and removing one allocates nothing.
type list[T any] struct{ first, last *Item[T] }

func (l *list[T]) push(item *Item[T]) {
	item.list, item.prev, item.next = l, l.last, nil
	if l.last != nil {
		l.last.next = item
	} else {
		l.first = item
	}
	l.last = item
}

// each calls f for the items in order until f returns false. It reports whether f never did.
func (l *list[T]) each(f func(T) bool) bool {
	for item := l.first; item != nil; item = item.next {
		if !f(item.Owner) {
			return false
		}
	}
	return true
}

func (l *list[T]) pop() *Item[T] {
	item := l.first
	l.remove(item)
	return item
}

func (l *list[T]) remove(item *Item[T]) {
	if item.prev != nil {
		item.prev.next = item.next
	} else {
		l.first = item.next
	}
	if item.next != nil {
		item.next.prev = item.prev
	} else {
		l.last = item.prev
	}
	item.list, item.prev, item.next = nil, nil, nil
}
