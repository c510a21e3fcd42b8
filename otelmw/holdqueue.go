package otelmw

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A holdQueue holds spans in the order in which they are due. All are held equally long, so that is
// the order in which they came, and the first is always the next one due. It is a list, so that a
// span whose task ends can leave from the middle.
//
// It has no lock, no clock and no timer: hold has them.
type holdQueue struct {
	first, last *heldSpan
	len         int
}

// A heldSpan is a span that was started and will be ended by whoever takes it.
type heldSpan struct {
	span       trace.Span // nil: it was taken
	endsAt     time.Time  // the end time that the span will get; it is not changed
	due        time.Time  // when it is handed over at the latest
	inQueue    bool
	prev, next *heldSpan
}

// push adds h, which is due no earlier than those that are in the queue.
func (q *holdQueue) push(h *heldSpan) {
	h.inQueue, h.prev = true, q.last
	if q.last == nil {
		q.first = h
	} else {
		q.last.next = h
	}
	q.last = h
	q.len++
}

// take takes the span of h, out of the queue if h is in it. Whoever gets the span has to end it:
// take returns nil to all later callers.
func (q *holdQueue) take(h *heldSpan) (span trace.Span) {
	if h.inQueue {
		q.remove(h)
	}
	span, h.span = h.span, nil
	return span
}

func (q *holdQueue) remove(h *heldSpan) {
	if h.prev == nil {
		q.first = h.next
	} else {
		h.prev.next = h.next
	}
	if h.next == nil {
		q.last = h.prev
	} else {
		h.next.prev = h.prev
	}
	h.inQueue, h.prev, h.next = false, nil, nil
	q.len--
}

// portion returns how many spans to hand over at a time. It is 512, the size of a batch of the
// SDK's batch processor, which drops what its queue of 2,048 cannot take. If the queue is very long
// it is 1/64 of it, so that the queue stays bounded however fast it is filled.
func (q *holdQueue) portion() int { return max(512, q.len/64) }

// takeDue takes the first span if it is due at now. Otherwise it returns none.
func (q *holdQueue) takeDue(now time.Time) endedSpan {
	first := q.first
	if first == nil || first.due.After(now) {
		return endedSpan{}
	}
	return endedSpan{q.take(first), first.endsAt}
}

// An endedSpan is a span that was taken, and the time at which it is to end.
type endedSpan struct {
	trace.Span // nil: there is none
	at         time.Time
}

// end ends the span at its time, not now. It does nothing if there is no span.
func (s endedSpan) end() {
	if s.Span == nil {
		return
	}
	defer contain("the end of a span")
	s.End(trace.WithTimestamp(s.at))
}
