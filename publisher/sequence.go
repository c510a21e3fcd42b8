package publisher

import "sync"

// maxKeys is how many keys a sequence knows at a time.
const maxKeys = 1 << 16

// sequence numbers events by their key. The zero value is ready for use.
type sequence struct {
	mu    sync.Mutex
	last  map[string]uint64
	floor uint64 // what every key that is not in last has reached
	top   uint64 // the highest number given
}

// number gives the event the next number of its key, unless it has one, or no key. When there are too many keys it forgets them
// all, and goes on above the highest number: a key's numbers may skip some then, but never go back.
func (s *sequence) number(e Event) Event {
	key := e.Key()
	if e.Sequence != 0 || key == "" {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.last[key]
	if !known {
		if s.last == nil || len(s.last) >= maxKeys {
			s.last, s.floor = make(map[string]uint64), s.top
		}
		last = s.floor
	}
	e.Sequence = last + 1
	s.last[key] = e.Sequence
	s.top = max(s.top, e.Sequence)
	return e
}
