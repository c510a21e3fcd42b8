package publisher

import (
	"crypto/sha256"
	"strings"
	"sync"
)

// maxKeys is how many keys a sequence remembers at least. It remembers at most twice as many.
const maxKeys = 1 << 16

// maxKeyBytes is how many bytes of memory a sequence spends on a key.
const maxKeyBytes = 64

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
	key = short(key)
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

// short returns a copy of key, or its hash if it is long: a sequence keeps keys long after their
// events have gone.
func short(key string) string {
	if len(key) <= maxKeyBytes {
		return strings.Clone(key)
	}
	sum := sha256.Sum256([]byte(key))
	return string(sum[:])
}
