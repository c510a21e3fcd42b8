package taskz

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errBusy is the error of a reader that comes while too many different answers are being made.
var errBusy = errors.New("taskz: too many different requests at a time, try again")

// A shared makes an answer once for all readers that ask for the same within a second. The zero
// value is ready. No lock is held while an answer is made, since that may call user code.
type shared[V any] struct {
	mu      sync.Mutex
	answers map[string]*answer[V]
}

type answer[V any] struct {
	began time.Time
	done  chan struct{} // closed when the fields below are set
	value V
	ok    bool // false: making it panicked
}

const (
	freshFor   = time.Second
	maxAnswers = 32
)

// get returns the result of produce, or one made for another reader within the last second. It
// waits for another reader's call of produce until ctx is done.
func (s *shared[V]) get(ctx context.Context, key string, produce func() V) (V, error) {
	a, mine := s.find(key)
	if a == nil {
		return *new(V), errBusy
	}
	if mine {
		a.fill(produce)
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
	for k, old := range s.answers {
		if old.isOver() && now.Sub(old.began) >= freshFor {
			delete(s.answers, k)
		}
	}
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

func (a *answer[V]) fill(produce func() V) {
	defer close(a.done) // also after a panic or a Goexit of user code
	a.value = produce()
	a.ok = true
}

func (a *answer[V]) isOver() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}
