package publisher

import "sync"

// maxKeys is how many keys a sequence knows at least. It knows up to twice as many.
const maxKeys = 1 << 16

// sequence numbers events by their key. The zero value is ready for use.
type sequence struct {
	mu           sync.Mutex
	recent, past map[string]uint64 // the last numbers; a key that is used is moved from past to recent
}

// number gives the event the next number of its key, unless it has one, or no key. When recent is full it becomes the past, and
// the keys that were there already are forgotten: at least maxKeys others have come since they were used. They start at 1 again,
// as all do when the process starts again.
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
