package sched

// A Key puts an item behind the earlier unfinished items of the same Set and Name.
type Key struct {
	Set     any // comparable; the bounds below are the same for all keys of a Set
	Name    string
	Running int // how many of the key may run at a time; 1 if it is 0 or less
	PerKey  int // how many of the key may be unfinished; <= 0: no limit
	Total   int // how many of the Set may be unfinished; <= 0: no limit
}

// A set holds the unfinished items of one Set. It exists while there are any.
type set[T any] struct {
	unfinished int
	lines      map[string]*line[T]
}

// A line holds the unfinished items of one key. It exists while there are any.
//
// At most Key.Running of them have their turn: they have a slot, or wait for one in the scheduler's
// queue. The others wait here.
type line[T any] struct {
	unfinished int
	turns      int
	running    int // how many of turns have a slot
	waiting    list[T]
}

// lineOf returns the line of the item's key, or nil if the key has no unfinished items.
func (s *Scheduler[T]) lineOf(item *Item[T]) *line[T] {
	if all := s.sets[item.Key.Set]; all != nil {
		return all.lines[item.Key.Name]
	}
	return nil
}

// fullKeyFor returns FullKey, FullTotal, or Run if the item's key has room.
func (s *Scheduler[T]) fullKeyFor(item *Item[T]) Verdict {
	k := item.Key
	if k == nil {
		return Run
	}
	l, all := s.lineOf(item), s.sets[k.Set]
	switch {
	case l != nil && k.PerKey > 0 && l.unfinished >= k.PerKey:
		return FullKey
	case all != nil && k.Total > 0 && all.unfinished >= k.Total:
		return FullTotal
	default:
		return Run
	}
}

// isNext reports whether the item would get a turn at once.
func (s *Scheduler[T]) isNext(item *Item[T]) bool {
	if item.Key == nil {
		return true
	}
	l := s.lineOf(item)
	return l == nil || l.turns < max(item.Key.Running, 1)
}

// joinLine puts the item into the line of its key, and reports whether it has its turn.
func (s *Scheduler[T]) joinLine(item *Item[T]) bool {
	if item.Key == nil {
		return true
	}
	item.hasTurn = s.isNext(item)
	all, l := s.openLine(item.Key)
	all.unfinished++
	l.unfinished++
	item.line = l
	if !item.hasTurn {
		l.waiting.push(item)
		return false
	}
	l.turns++
	return true
}

// openLine returns the set and the line of k. It makes them if there are none.
func (s *Scheduler[T]) openLine(k *Key) (*set[T], *line[T]) {
	if s.sets == nil {
		s.sets = make(map[any]*set[T])
	}
	all := s.sets[k.Set]
	if all == nil {
		all = &set[T]{lines: make(map[string]*line[T])}
		s.sets[k.Set] = all
	}
	l := all.lines[k.Name]
	if l == nil {
		l = new(line[T])
		all.lines[k.Name] = l
	}
	return all, l
}

// passTurn gives the item's turn, if it has one, to the next in its line, which then waits for a
// slot.
func (s *Scheduler[T]) passTurn(item *Item[T]) {
	if !item.hasTurn {
		return
	}
	item.hasTurn = false
	if item.line.waiting.first == nil {
		item.line.turns--
		return
	}
	next := item.line.waiting.pop()
	next.hasTurn = true
	s.queue.push(next)
}

// leaveLine removes the item from the line of its key, and removes the line and the set if they are
// empty then.
func (s *Scheduler[T]) leaveLine(item *Item[T]) {
	if item.Key == nil {
		return
	}
	s.passTurn(item)
	all := s.sets[item.Key.Set]
	if item.line.unfinished--; item.line.unfinished == 0 {
		delete(all.lines, item.Key.Name)
	}
	if all.unfinished--; all.unfinished == 0 {
		delete(s.sets, item.Key.Set)
	}
	item.line = nil
}

// Blocks reports whether b is queued and needs the turn or the slot that a holds. While b waits for
// its turn, it needs a slot only if no item of its key has one. The end of another item may free b,
// too.
func (s *Scheduler[T]) Blocks(a, b *Item[T]) bool {
	if b.state != Queued {
		return false
	}
	needsTurn := b.Key != nil && !b.hasTurn
	if needsTurn && a.hasTurn && a.line == b.line {
		return true
	}
	needsSlot := !needsTurn || b.line.running == 0
	return needsSlot && a.state == Running && !s.hasSlot()
}
