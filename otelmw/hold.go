package otelmw

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A hold keeps the spans "spawn NAME" open until their tasks have ended, or for as long as after
// says. One queue and one timer serve all tasks of a middleware. No goroutine runs but that of the
// timer when it fires.
type hold struct {
	after time.Duration // 0: spans are not queued

	mu      sync.Mutex // guards the fields below, and those of every heldSpan but endsAt
	queue   holdQueue
	isTimed bool // a timer is set, or its goroutine runs
}

// pause is the time between two portions of spans that are due at once.
const pause = 20 * time.Millisecond

// add puts h into the queue.
func (hd *hold) add(h *heldSpan) {
	if hd.after <= 0 {
		return
	}
	hd.mu.Lock()
	defer hd.mu.Unlock()
	h.due = h.endsAt.Add(hd.after)
	hd.queue.push(h)
	if !hd.isTimed {
		hd.setTimer(hd.after)
	}
}

// take returns the span of h, which the caller has to end, or nil if somebody else has taken it.
func (hd *hold) take(h *heldSpan) trace.Span {
	hd.mu.Lock()
	defer hd.mu.Unlock()
	return hd.queue.take(h)
}

// look returns the span of h, or nil if it was taken.
func (hd *hold) look(h *heldSpan) trace.Span {
	hd.mu.Lock()
	defer hd.mu.Unlock()
	return h.span
}

// setTimer makes handOverDue run after d. hd.mu is held.
func (hd *hold) setTimer(d time.Duration) {
	hd.isTimed = true
	time.AfterFunc(d, hd.handOverDue)
}

// handOverDue ends a portion of the spans that are due, with the outcome pending, which they have
// from their start. It runs on the goroutine of the timer, one at a time: the next timer is set when
// the last span has been handed over. It takes them one by one, since a task may end meanwhile.
func (hd *hold) handOverDue() {
	defer hd.timeNext()
	hd.mu.Lock()
	portion := hd.queue.portion()
	hd.mu.Unlock()
	for range portion {
		span := hd.takeDue()
		if span.Span == nil {
			return
		}
		span.end()
	}
}

func (hd *hold) takeDue() endedSpan {
	hd.mu.Lock()
	defer hd.mu.Unlock()
	return hd.queue.takeDue(time.Now())
}

// timeNext sets the timer for the next span in the queue, if there is one.
func (hd *hold) timeNext() {
	hd.mu.Lock()
	defer hd.mu.Unlock()
	hd.isTimed = false
	if first := hd.queue.first; first != nil {
		hd.setTimer(max(pause, time.Until(first.due)))
	}
}
