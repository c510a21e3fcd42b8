package core

import (
	"sync"
	"time"
)

// A throttle lets through so many a second.
type throttle struct {
	mu    sync.Mutex
	since time.Time
	count int
}

// allow reports whether one more may pass at now, if most may pass in a second.
func (l *throttle) allow(now time.Time, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() || now.Sub(l.since) >= time.Second {
		l.since, l.count = now, 0
	}
	l.count++
	return l.count <= most
}

// refusals keeps the lines about refused tasks down to one a second. Refusals without a line of
// their own are suppressed: a line says how many, a second after the last line at the latest.
type refusals struct {
	mu         sync.Mutex
	last       time.Time // of a line
	suppressed uint64    // since last
	timer      *time.Timer
	closed     bool // a shutdown has returned: no timer any more
}

// next reports whether a refusal at now gets a line, and how many were suppressed before it. If
// not, flush is called within a second, unless the refusals are closed.
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

// take returns how many refusals were suppressed, and forgets them. r.mu is held.
func (r *refusals) take(now time.Time) (suppressed uint64) {
	suppressed, r.suppressed, r.last = r.suppressed, 0, now
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	return suppressed
}
