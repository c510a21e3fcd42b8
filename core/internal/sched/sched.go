// Package sched decides which tasks may run: it knows the limit, the queue, the keys, the callers
// that wait for room, and the phase of a shutdown.
//
// It is bookkeeping only. It takes no lock, starts no goroutine, reads no clock and calls no code
// of its user, so its tests are tables of calls and answers. The caller guards it with a lock of
// its own and acts on what the methods return.
package sched

// A Verdict is the answer to Add.
type Verdict uint8

// The verdicts. After Run and Queue the item is accepted. After Wait it is in the line of callers
// that wait for room. The others refuse it.
const (
	Run       Verdict = iota // it has a slot
	Queue                    // it waits for a slot, or for its key
	Wait                     // it waits for room, outside
	Closed                   // a shutdown has begun
	Full                     // the limit and the queue are full
	FullKey                  // its key has as many unfinished items as its PerKey allows
	FullTotal                // its set of keys has as many unfinished items as its Total allows
)

// A Caller says who adds an item. The zero Caller is a stranger who does not wait.
type Caller struct {
	Inside bool // one of the scheduler's own unfinished items: accepted until Close
	Waits  bool // it waits where there is no room
}

// maxSkipping is how many items that were cancelled in the queue pass their chain at a time. A
// shutdown may cancel a hundred thousand at once, and with a goroutine for each, the process would
// have no time left for what has a deadline.
const maxSkipping = 1000

type phase uint8

const (
	open     phase = iota // takes items
	draining              // takes items of its own unfinished ones only
	closed                // takes none
)

// A Scheduler decides which items may run. The zero value is open and has no limit.
//
// Methods that make room return the items for which that changed something: they are now Running,
// Skipping or, for those of waiting callers, Queued. The slice is valid until the next call.
type Scheduler[T any] struct {
	phase     phase
	maxRun    int     // <= 0: no limit
	maxQueue  int     // < 0: no limit
	started   list[T] // Running or Skipping, the longest first
	queue     list[T] // Queued, and waiting for nothing but a slot
	skipped   list[T] // Skipped
	skipping  int     // how many are Skipping
	waiting   list[T] // Waiting
	numRun    int
	numQueued int // Queued, Skipped or Skipping
	sets      map[any]*set[T]
	changed   []*Item[T] // the answer to the last call
}

// Running returns the number of items that have a slot.
func (s *Scheduler[T]) Running() int { return s.numRun }

// Queued returns the number of accepted items without a slot. An item that was cancelled in the
// queue keeps its place there until it ends, so that a slow chain cannot pile up goroutines.
func (s *Scheduler[T]) Queued() int { return s.numQueued }

// Idle reports whether no item is unfinished.
func (s *Scheduler[T]) Idle() bool { return s.numRun+s.numQueued == 0 }

// Draining reports whether a shutdown has begun.
func (s *Scheduler[T]) Draining() bool { return s.phase != open }

// Started yields the items that are Running or Skipping, the longest first.
func (s *Scheduler[T]) Started(yield func(T) bool) { s.started.each(yield) }

// Unended yields all accepted items that have not ended, those of one key in their order.
func (s *Scheduler[T]) Unended(yield func(T) bool) {
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
func (s *Scheduler[T]) Add(it *Item[T], from Caller) Verdict {
	if s.phase == closed || s.phase == draining && !from.Inside {
		return Closed
	}
	full := s.Room(it)
	switch {
	case full == Run:
		return s.accept(it)
	case from.Waits:
		it.state = Waiting
		s.waiting.push(it)
		return Wait
	default:
		return full
	}
}

// Room returns why there is no room for an item that is Out or Waiting, or Run if there is.
func (s *Scheduler[T]) Room(it *Item[T]) Verdict {
	if full := s.fullKeyFor(it); full != Run {
		return full
	}
	hasPlace := s.maxRun <= 0 || s.maxQueue < 0 || s.numQueued < s.maxQueue
	if hasPlace || s.hasSlot() && s.isNext(it) {
		return Run
	}
	return Full
}

// hasSlot reports whether one more may run. Then nothing waits for a slot, since every slot that
// comes free is given away at once.
func (s *Scheduler[T]) hasSlot() bool { return s.maxRun <= 0 || s.numRun < s.maxRun }

func (s *Scheduler[T]) accept(it *Item[T]) Verdict {
	hasTurn := s.joinLine(it)
	if hasTurn && s.hasSlot() {
		s.giveSlot(it)
		return Run
	}
	it.state = Queued
	s.numQueued++
	if hasTurn {
		s.queue.push(it)
	}
	return Queue
}

func (s *Scheduler[T]) giveSlot(it *Item[T]) {
	it.state = Running
	s.started.push(it)
	s.numRun++
}

// Cancel takes an item that is Queued out of the queue. It then passes its chain without a slot.
// For an item in any other state it does nothing.
func (s *Scheduler[T]) Cancel(it *Item[T]) []*Item[T] {
	if it.state != Queued {
		return nil
	}
	it.list.remove(it)
	s.passTurn(it)
	it.state = Skipped
	s.skipped.push(it)
	return s.fill()
}

// End takes an item out that has ended. It was Running or Skipping.
func (s *Scheduler[T]) End(it *Item[T]) []*Item[T] {
	s.started.remove(it)
	if it.state == Running {
		s.numRun--
	} else {
		s.skipping--
		s.numQueued--
	}
	it.state = Out
	s.leaveLine(it)
	return s.fill()
}

// GiveUp ends the wait of a caller, if it still waits, and reports whether it did.
func (s *Scheduler[T]) GiveUp(it *Item[T]) bool {
	if it.state != Waiting {
		return false
	}
	s.waiting.remove(it)
	it.state = Out
	return true
}

// SetLimit changes how many items may run and how many may wait in the queue.
func (s *Scheduler[T]) SetLimit(running, queued int) []*Item[T] {
	s.maxRun, s.maxQueue = running, queued
	return s.fill()
}

// Drain refuses strangers from now on. It returns the items of callers that waited for room: they
// are Out.
func (s *Scheduler[T]) Drain() []*Item[T] {
	s.phase = max(s.phase, draining)
	s.forget()
	for it := s.waiting.first; it != nil; it = s.waiting.first {
		s.GiveUp(it)
		s.changed = append(s.changed, it)
	}
	return s.changed
}

// Close refuses everybody from now on.
func (s *Scheduler[T]) Close() { s.phase = closed }

// fill gives away the room that came free, and returns the items that got some.
func (s *Scheduler[T]) fill() []*Item[T] {
	s.forget()
	for s.skipped.first != nil && s.skipping < maxSkipping {
		it := s.skipped.pop()
		it.state = Skipping
		s.skipping++
		s.started.push(it)
		s.changed = append(s.changed, it)
	}
	for s.queue.first != nil && s.hasSlot() {
		it := s.queue.pop()
		s.numQueued--
		s.giveSlot(it)
		s.changed = append(s.changed, it)
	}
	s.admitWaiting()
	return s.changed
}

// admitWaiting accepts the items of callers for which there is room now, oldest first.
func (s *Scheduler[T]) admitWaiting() {
	for it := s.waiting.first; it != nil; {
		next := it.next
		switch s.Room(it) {
		case Run:
			s.waiting.remove(it)
			s.accept(it)
			s.changed = append(s.changed, it)
		case Full:
			if it.Key == nil {
				return // The manager itself is full, so no later caller fits either.
			}
		}
		it = next
	}
}

// forget empties the answer to the last call. It keeps the memory of a short one.
func (s *Scheduler[T]) forget() {
	if cap(s.changed) > maxSkipping {
		s.changed = nil
	}
	clear(s.changed)
	s.changed = s.changed[:0]
}
