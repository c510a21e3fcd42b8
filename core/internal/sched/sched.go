// Package sched decides which tasks may run: it knows the limit, the queue, the keys, the callers
// that wait for room, and the phase of a shutdown.
//
// It is bookkeeping only. It takes no lock, starts no goroutine and reads no clock, so its tests
// are tables of calls and answers. The caller guards it with a lock of its own and acts on what the
// methods return.
package sched

// A Verdict is the answer to Add.
type Verdict uint8

// The verdicts. After Run and Queue the item is accepted. After Wait it is among the callers that
// wait for room. The others refuse it.
const (
	Run       Verdict = iota // it has a slot
	Queue                    // it waits for a slot or for its turn
	Wait                     // its caller waits for room; it is not accepted yet
	Closed                   // a shutdown has begun
	Full                     // there is no free slot and no place in the queue
	FullKey                  // its key has as many unfinished items as its PerKey allows
	FullTotal                // its set of keys has as many unfinished items as its Total allows
)

// Accepts reports whether the item was accepted.
func (v Verdict) Accepts() bool { return v <= Queue }

// A Caller says who adds an item. The zero Caller is a stranger who does not wait.
type Caller struct {
	Inside bool // itself an unfinished item: it may add items until Close
	Waits  bool // it waits for room instead of being refused
}

// maxSkipping limits how many items that were cancelled in the queue run their chain at a time. A
// shutdown may cancel a hundred thousand at once, and a goroutine for each would leave no time for
// the rest.
const maxSkipping = 1000

type phase uint8

const (
	open     phase = iota // accepts items
	draining              // accepts only items that an unfinished item adds
	closed                // accepts none
)

// A Scheduler decides which items may run. The zero value is open and has no limit.
//
// Methods that free room return the items whose state changed to Running, to Skipping or, for those
// of waiting callers, to Queued. The slice is valid until the next call.
type Scheduler[T any] struct {
	phase     phase
	maxRun    int     // <= 0: no limit
	maxQueue  int     // < 0: no limit
	started   list[T] // Running or Skipping, in the order in which they became so
	queue     list[T] // Queued, with their turn: they wait for a slot
	skipped   list[T] // Skipped
	skipping  int     // how many are Skipping
	waiting   list[T] // Waiting
	numRun    int
	numQueued int // Queued, Skipped or Skipping
	sets      map[any]*set[T]
	changed   []*Item[T] // the result of the last call
}

// Running returns the number of items that have a slot.
func (s *Scheduler[T]) Running() int { return s.numRun }

// Queued returns the number of accepted items without a slot. An item that was cancelled in the
// queue keeps its place there until it ends, so that a slow chain cannot pile up unfinished items.
func (s *Scheduler[T]) Queued() int { return s.numQueued }

// Idle reports whether all items have ended.
func (s *Scheduler[T]) Idle() bool { return s.numRun+s.numQueued == 0 }

// Draining reports whether a shutdown has begun.
func (s *Scheduler[T]) Draining() bool { return s.phase != open }

// Closed reports whether Close was called.
func (s *Scheduler[T]) Closed() bool { return s.phase == closed }

// Started yields the items that are Running or Skipping, in the order in which they became so or
// were last renewed. Their runs need not have begun.
func (s *Scheduler[T]) Started(yield func(T) bool) { s.started.each(yield) }

// Unfinished yields all accepted items that have not ended. Items of one key that wait for their
// turn come in order; the keys come in any order.
func (s *Scheduler[T]) Unfinished(yield func(T) bool) {
	if !s.started.each(yield) || !s.queue.each(yield) || !s.skipped.each(yield) {
		return
	}
	for _, all := range s.sets {
		for _, l := range all.lines {
			if !l.waiting.each(yield) {
				return
			}
		}
	}
}

// Add accepts an item, lets it wait for room, or refuses it.
func (s *Scheduler[T]) Add(item *Item[T], from Caller) Verdict {
	if s.phase == closed || s.phase == draining && !from.Inside {
		return Closed
	}
	full := s.Room(item)
	switch {
	case full == Run:
		return s.accept(item)
	case from.Waits:
		item.state = Waiting
		s.waiting.push(item)
		return Wait
	default:
		return full
	}
}

// Room returns Run if an item that is Out or Waiting could be accepted now, or else the verdict
// that refuses it.
func (s *Scheduler[T]) Room(item *Item[T]) Verdict {
	if full := s.fullKeyFor(item); full != Run {
		return full
	}
	hasPlace := s.maxRun <= 0 || s.maxQueue < 0 || s.numQueued < s.maxQueue
	if hasPlace || s.hasSlot() && s.isNext(item) {
		return Run
	}
	return Full
}

// hasSlot reports whether a slot is free. Between calls, a free slot means that no item waits for
// one.
func (s *Scheduler[T]) hasSlot() bool { return s.maxRun <= 0 || s.numRun < s.maxRun }

// accept gives the item a slot, or puts it into the queue. There is room for it.
func (s *Scheduler[T]) accept(item *Item[T]) Verdict {
	hasTurn := s.joinLine(item)
	if hasTurn && s.hasSlot() {
		s.giveSlot(item)
		return Run
	}
	item.state = Queued
	s.numQueued++
	if hasTurn {
		s.queue.push(item)
	}
	return Queue
}

func (s *Scheduler[T]) giveSlot(item *Item[T]) {
	item.state = Running
	s.started.push(item)
	s.numRun++
	if item.line != nil {
		item.line.running++
	}
}

// Renew moves an item that is Running or Skipping to the end of Started.
func (s *Scheduler[T]) Renew(item *Item[T]) {
	if item.state == Running || item.state == Skipping {
		s.started.remove(item)
		s.started.push(item)
	}
}

// Cancel takes a Queued item out of the queue. Its chain then runs without a slot. For an item in
// any other state it does nothing.
func (s *Scheduler[T]) Cancel(item *Item[T]) []*Item[T] {
	if item.state != Queued {
		return nil
	}
	item.list.remove(item)
	s.passTurn(item)
	item.state = Skipped
	s.skipped.push(item)
	return s.fill()
}

// End removes an item that has ended. It must be Running or Skipping.
func (s *Scheduler[T]) End(item *Item[T]) []*Item[T] {
	s.started.remove(item)
	if item.state == Running {
		s.numRun--
		if item.line != nil {
			item.line.running--
		}
	} else {
		s.skipping--
		s.numQueued--
	}
	item.state = Out
	s.leaveLine(item)
	return s.fill()
}

// GiveUp removes an item whose caller waits for room, and reports whether it was waiting.
func (s *Scheduler[T]) GiveUp(item *Item[T]) bool {
	if item.state != Waiting {
		return false
	}
	s.waiting.remove(item)
	item.state = Out
	return true
}

// SetLimit changes how many items may run and how many may wait in the queue.
func (s *Scheduler[T]) SetLimit(running, queued int) []*Item[T] {
	s.maxRun, s.maxQueue = running, queued
	return s.fill()
}

// Drain lets only unfinished items add items from now on. It returns the items whose callers waited
// for room: they are Out.
func (s *Scheduler[T]) Drain() []*Item[T] {
	s.phase = max(s.phase, draining)
	s.forget()
	for item := s.waiting.first; item != nil; item = s.waiting.first {
		s.GiveUp(item)
		s.changed = append(s.changed, item)
	}
	return s.changed
}

// Close refuses every item from now on. Call Drain before.
func (s *Scheduler[T]) Close() { s.phase = closed }

// fill hands out free slots and places, and returns the items that got one.
func (s *Scheduler[T]) fill() []*Item[T] {
	s.forget()
	for s.skipped.first != nil && s.skipping < maxSkipping {
		item := s.skipped.pop()
		item.state = Skipping
		s.skipping++
		s.started.push(item)
		s.changed = append(s.changed, item)
	}
	for s.queue.first != nil && s.hasSlot() {
		item := s.queue.pop()
		s.numQueued--
		s.giveSlot(item)
		s.changed = append(s.changed, item)
	}
	s.admitWaiting()
	return s.changed
}

// admitWaiting accepts the items of waiting callers that fit now, oldest first.
func (s *Scheduler[T]) admitWaiting() {
	for item := s.waiting.first; item != nil; {
		next := item.next
		switch s.Room(item) {
		case Run:
			s.waiting.remove(item)
			s.accept(item)
			s.changed = append(s.changed, item)
		case Full:
			if item.Key == nil {
				return // The manager itself is full, so no later caller fits either.
			}
		}
		item = next
	}
}

// forget clears the result of the last call. It drops the memory of a long one.
func (s *Scheduler[T]) forget() {
	if cap(s.changed) > maxSkipping {
		s.changed = nil
	}
	clear(s.changed)
	s.changed = s.changed[:0]
}
