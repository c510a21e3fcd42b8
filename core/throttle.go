package core

import (
	"sync"
	"time"
)

// refusals limits the lines about refused tasks to one a second. The others are suppressed: a later
// line tells how many, within a second if no shutdown has ended by then.
type refusals struct {
	mu         sync.Mutex
	last       time.Time // of a line
	suppressed uint64    // since last
	timer      *time.Timer
	late       int  // timers that had fired when they were stopped: their goroutines are on their way
	closed     bool // a shutdown has ended: start no timer
}

// next reports whether a refusal at now gets a line, and how many were suppressed before it. If it
// gets none, a timer calls flush within a second, unless the refusals are closed.
func (r *refusals) next(now time.Time, flush func()) (suppressed uint64, say bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if wait := time.Second - now.Sub(r.last); !r.last.IsZero() && wait > 0 {
		r.suppressed++
		if r.suppressed == 1 && !r.closed {
			r.timer = time.AfterFunc(wait, flush)
		}
		return 0, false
	}
	return r.take(now), true
}

// take returns how many refusals were suppressed, for a line at now. r.mu is held.
func (r *refusals) take(now time.Time) (suppressed uint64) {
	suppressed, r.suppressed, r.last = r.suppressed, 0, now
	r.stopTimer()
	return suppressed
}

// stopTimer stops the timer, if there is one. r.mu is held.
func (r *refusals) stopTimer() {
	if r.timer != nil && !r.timer.Stop() {
		r.late++
	}
	r.timer = nil
}

// fire is called on the goroutine of a timer. It returns how many refusals were suppressed; 0 if the
// timer is late.
func (r *refusals) fire(now time.Time) (suppressed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.late > 0 { // if the timer is not late itself, the one that is will come after it
		r.late--
		return 0
	}
	r.timer = nil
	return r.takeAny(now)
}

// takeAny is take, but it allows the next line at once if there were none. r.mu is held.
func (r *refusals) takeAny(now time.Time) (suppressed uint64) {
	if r.suppressed == 0 {
		return 0
	}
	return r.take(now)
}

// isFiring reports whether the goroutine of a late timer is on its way.
func (r *refusals) isFiring() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.late > 0
}

// close starts no timer from now on. It returns how many refusals were suppressed.
func (r *refusals) close(now time.Time) (suppressed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.stopTimer()
	return r.takeAny(now)
}
