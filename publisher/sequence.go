package publisher

import "sync"

// maxKeys is how many keys a sequence remembers at least. It remembers at most twice as many.
const maxKeys = 1 << 16

// sequence numbers events by their key. The zero value is ready for use.
type sequence struct {
	mu           sync.Mutex
	recent, past map[string]uint64 // the last number of each key; using a key adds it to recent
}

// number gives the event the next number of its key, unless the event has a number or has no key.
// When recent is full, it becomes past, and the old past is forgotten. A forgotten key was not used
// while at least maxKeys other keys were. Its numbers start at 1 again, as those of all keys do
// after a restart of the process.
func (s *sequence) number(e Event) Event {
	key := e.Key()
	if e.Sequence != 0 || key == "" {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.recent[key]
	if !known {
		last = s.past[key]
		if s.recent == nil || len(s.recent) >= maxKeys {
			s.recent, s.past = make(map[string]uint64), s.recent
		}
	}
	e.Sequence = last + 1
	s.recent[key] = e.Sequence
	return e
}
