package sched

// A Key puts an item behind the earlier unfinished items of the same Set and Name.
type Key struct {
	Set     any // comparable; the bounds below are the same for all keys of a Set
	Name    string
	Running int // how many of the key may run at a time; 1 if it is 0 or less
	PerKey  int // how many of the key may be unfinished; <= 0: no limit
	Total   int // how many of the Set may be unfinished; <= 0: no limit
}

// A set is the unfinished items of one Set. It exists while there are any.
type set[T any] struct {
	unfinished int
	lines      map[string]*line[T]
}

// A line is the unfinished items of one key. It exists while there are any.
//
// At most Key.Running of them have their turn: they have a slot, or wait for one in the scheduler's
// queue. The others wait here.
type line[T any] struct {
	unfinished int
	turns      int
	waiting    list[T]
}

// lineOf returns the line of it's key, or nil if the key has no unfinished items.
func (s *Scheduler[T]) lineOf(it *Item[T]) *line[T] {
	if all := s.sets[it.Key.Set]; all != nil {
		return all.lines[it.Key.Name]
	}
	return nil
}

// fullKeyFor returns FullKey, FullTotal, or Run if it's key has room.
func (s *Scheduler[T]) fullKeyFor(it *Item[T]) Verdict {
	k := it.Key
	if k == nil {
		return Run
	}
	l, all := s.lineOf(it), s.sets[k.Set]
	switch {
	case l != nil && k.PerKey > 0 && l.unfinished >= k.PerKey:
		return FullKey
	case all != nil && k.Total > 0 && all.unfinished >= k.Total:
		return FullTotal
	default:
		return Run
	}
}

// isNext reports whether it would have its turn at once.
func (s *Scheduler[T]) isNext(it *Item[T]) bool {
	if it.Key == nil {
		return true
	}
	l := s.lineOf(it)
	return l == nil || l.turns < max(it.Key.Running, 1)
}

// joinLine puts it into the line of its key, and reports whether it has its turn.
func (s *Scheduler[T]) joinLine(it *Item[T]) bool {
	if it.Key == nil {
		return true
	}
	it.hasTurn = s.isNext(it)
	it.line = s.openLine(it.Key)
	it.line.unfinished++
	if !it.hasTurn {
		it.line.waiting.push(it)
		return false
	}
	it.line.turns++
	return true
}

// openLine returns the line of k, with one more unfinished item in its set.
func (s *Scheduler[T]) openLine(k *Key) *line[T] {
	if s.sets == nil {
		s.sets = make(map[any]*set[T])
	}
	all := s.sets[k.Set]
	if all == nil {
		all = &set[T]{lines: make(map[string]*line[T])}
		s.sets[k.Set] = all
	}
	all.unfinished++
	l := all.lines[k.Name]
	if l == nil {
		l = new(line[T])
		all.lines[k.Name] = l
	}
	return l
}

// passTurn hands it's turn, if it has one, to the next in its line, which then waits for a slot.
func (s *Scheduler[T]) passTurn(it *Item[T]) {
	if !it.hasTurn {
		return
	}
	it.hasTurn = false
	if it.line.waiting.first == nil {
		it.line.turns--
		return
	}
	next := it.line.waiting.pop()
	next.hasTurn = true
	s.queue.push(next)
}

// leaveLine takes it out of the line of its key, and forgets what is empty then.
func (s *Scheduler[T]) leaveLine(it *Item[T]) {
	if it.Key == nil {
		return
	}
	s.passTurn(it)
	all := s.sets[it.Key.Set]
	if it.line.unfinished--; it.line.unfinished == 0 {
		delete(all.lines, it.Key.Name)
	}
	if all.unfinished--; all.unfinished == 0 {
		delete(s.sets, it.Key.Set)
	}
	it.line = nil
}

// Blocks reports whether b, which waits in the queue, cannot start before a has ended: because a
// has the turn of b's key, or because it has one of the slots, all of which are taken.
func (s *Scheduler[T]) Blocks(a, b *Item[T]) bool {
	if b.state != Queued {
		return false
	}
	if b.Key != nil && !b.hasTurn {
		return a.line == b.line
	}
	return a.state == Running && !s.hasSlot()
}
