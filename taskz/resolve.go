package taskz

import (
	"log/slog"
	"sync"
	"time"

	"github.com/afterspan/afterspan/core"
)

const (
	valuePatience  = 100 * time.Millisecond // for the attributes of a task
	answerPatience = 2 * time.Second        // for those of all tasks in an answer
	maxHanging     = 8                      // tasks whose attributes are being asked for too long
)

// What is shown in place of a value.
const (
	doesNotReturn = "(LogValue does not return)"
	notAsked      = "(not asked: other LogValue methods take too long)"
)

// A resolver makes text of the attributes of tasks that have not ended. A LogValue method may wait
// for a lock that its task holds, so it is called on a goroutine of its own, which is left behind
// if it takes too long. The task is not asked again until that goroutine has returned.
type resolver struct {
	turn chan struct{} // holds one value while a task is being asked

	mu      sync.Mutex
	hanging map[uint64]bool // the tasks whose goroutines were left behind
}

func newResolver() *resolver {
	return &resolver{turn: make(chan struct{}, 1), hanging: make(map[uint64]bool)}
}

// An asking is what one answer asks of tasks.
type asking struct {
	resolver *resolver
	left     time.Duration // for further methods
}

func (r *resolver) begin() *asking { return &asking{r, answerPatience} }

// textOf returns the attributes of t as text, within a bounded time.
func (a *asking) textOf(t *core.TaskInfo) pairs {
	switch {
	case !haveMethods(t.Attrs):
		return textOf(t.Attrs)
	case a.left <= 0:
		return plainTextOf(t.Attrs, notAsked)
	}
	began := time.Now()
	defer func() { a.left -= time.Since(began) }()
	a.resolver.turn <- struct{}{}
	defer func() { <-a.resolver.turn }()
	if note := a.resolver.refusal(t.ID); note != "" {
		return plainTextOf(t.Attrs, note)
	}
	if text, ok := a.resolver.ask(t); ok {
		return text
	}
	return plainTextOf(t.Attrs, doesNotReturn)
}

// refusal says why a task is not asked, or is "".
func (r *resolver) refusal(id uint64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.hanging[id]:
		return doesNotReturn
	case len(r.hanging) >= maxHanging:
		return notAsked
	default:
		return ""
	}
}

// ask calls the methods of t's attributes. ok is false if they take too long, or end their
// goroutine.
func (r *resolver) ask(t *core.TaskInfo) (text pairs, ok bool) {
	result := make(chan pairs, 1)
	go r.call(t, result)
	timer := time.NewTimer(valuePatience)
	defer timer.Stop()
	select {
	case text, ok = <-result:
		return text, ok
	case <-timer.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case text, ok = <-result: // just now
	default:
		r.hanging[t.ID] = true
	}
	return text, ok
}

// call sends the text of t's attributes, and then closes result, also after a Goexit.
func (r *resolver) call(t *core.TaskInfo, result chan<- pairs) {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.hanging, t.ID)
		close(result)
	}()
	result <- textOf(t.Attrs)
}

// haveMethods reports whether text of attrs takes methods of the user's.
func haveMethods(attrs []slog.Attr) bool {
	for _, a := range attrs {
		if isUsers(a.Value) || a.Value.Kind() == slog.KindGroup && haveMethods(a.Value.Group()) {
			return true
		}
	}
	return false
}

// isUsers reports whether text of v takes a method of the user's.
func isUsers(v slog.Value) bool {
	return v.Kind() == slog.KindLogValuer || v.Kind() == slog.KindAny && v.Any() != nil
}
