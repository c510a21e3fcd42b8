package taskz

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errBusy is the error of a reader that comes while too many different answers are being made.
var errBusy = errors.New("taskz: too many different requests at a time, try again")

// A shared makes an answer once for all readers that ask for the same within a second, and then
// lets go of it. The zero value is ready. No lock is held while an answer is made, since that may
// call user code.
type shared[V any] struct {
	weigh func(V) int // returns the bytes of an answer; nil: they don't count

	mu      sync.Mutex
	answers map[string]*answer[V]
}

type answer[V any] struct {
	began time.Time
	done  chan struct{} // closed when the fields below are set
	value V
	size  int  // in bytes
	ok    bool // false: making it panicked
}

const (
	freshFor   = time.Second
	maxAnswers = 32
	maxKept    = 16 << 20 // bytes of all finished answers
)

// get returns the result of produce, or one made for another reader within the last second. It
// waits for another reader's call of produce until ctx is done.
func (s *shared[V]) get(ctx context.Context, key string, produce func() V) (V, error) {
	a, mine := s.find(key)
	if a == nil {
		return *new(V), errBusy
	}
	if mine {
		s.fill(key, a, produce)
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return *new(V), ctx.Err()
	}
	if !a.ok {
		return *new(V), errors.New("taskz: another reader's request for the same failed")
	}
	return a.value, nil
}

// find returns the answer for key, and whether the caller has to make it. The answer is nil if
// there are too many.
func (s *shared[V]) find(key string) (a *answer[V], mine bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropStale(now)
	if a := s.answers[key]; a != nil {
		return a, false
	}
	if len(s.answers) >= maxAnswers && !s.dropOne() {
		return nil, false
	}
	if s.answers == nil {
		s.answers = make(map[string]*answer[V])
	}
	a = &answer[V]{began: now, done: make(chan struct{})}
	s.answers[key] = a
	return a, true
}

// fill makes the answer a.
func (s *shared[V]) fill(key string, a *answer[V], produce func() V) {
	defer s.finish(key, a) // also after a panic or a Goexit of user code
	a.value = produce()
	a.ok = true
	if s.weigh != nil {
		a.size = s.weigh(a.value)
	}
}

// finish hands a to its readers, and keeps it for further ones if it is not too large. Other
// answers make room for it.
func (s *shared[V]) finish(key string, a *answer[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.kept()+a.size > maxKept && s.dropOne() {
	}
	if a.size > maxKept {
		delete(s.answers, key)
	}
	close(a.done)
	time.AfterFunc(freshFor, s.expire)
}

// kept returns the bytes of all finished answers. s.mu is held.
func (s *shared[V]) kept() (bytes int) {
	for _, a := range s.answers {
		if a.isOver() {
			bytes += a.size
		}
	}
	return bytes
}

// expire drops the answers that are too old for further readers.
func (s *shared[V]) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropStale(time.Now())
}

// dropStale drops the answers that are not fresh at now. s.mu is held.
func (s *shared[V]) dropStale(now time.Time) {
	for k, a := range s.answers {
		if a.isOver() && now.Sub(a.began) >= freshFor {
			delete(s.answers, k)
		}
	}
}

// dropOne drops a finished answer, and reports whether there was one. s.mu is held.
func (s *shared[V]) dropOne() bool {
	for k, a := range s.answers {
		if a.isOver() {
			delete(s.answers, k)
			return true
		}
	}
	return false
}

func (a *answer[V]) isOver() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}
