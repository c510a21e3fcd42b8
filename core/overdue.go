package core

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// overdueAfter is how long a task may go on after its context was cancelled. Then it is overdue: it
// is counted, and logged once.
const overdueAfter = 5 * time.Second

// watch is the one timer of a manager that looks for overdue tasks. It only runs while there is a
// task with a timeout, or a cancelled one. manager.mu guards it.
type watch struct {
	timer   *time.Timer
	at      time.Time // when it fires; zero: it does not
	overdue int       // tasks that are running and overdue
	lines   throttle
}

// watchFrom makes the watch look at that time, or earlier. m.mu is held.
func (m *Manager) watchFrom(at time.Time) {
	w := &m.watch
	if !w.at.IsZero() && !at.Before(w.at) {
		return
	}
	w.at = at
	if d := time.Until(at); w.timer == nil {
		w.timer = time.AfterFunc(d, m.lookForOverdue)
	} else {
		w.timer.Reset(d)
	}
}

// watchTimeout makes the watch look when t, which is about to start, may be overdue. m.mu is held.
func (m *Manager) watchTimeout(t *Task) {
	if limit := t.options.timeout; limit > 0 {
		m.watchFrom(t.created.Add(limit).Add(overdueAfter)) // a look too early looks again
	}
}

// stopWatch stops the timer of a manager that has nothing left to watch, and never will. If that is
// too late the timer's goroutine is on its way, and finds nothing. m.mu is held.
func (m *Manager) stopWatch() {
	if m.watch.timer != nil && m.watch.timer.Stop() {
		m.watch.at = time.Time{}
	}
}

// unwatch forgets t, which has ended. m.mu is held.
func (m *Manager) unwatch(t *Task) {
	if t.overdue {
		m.watch.overdue--
	}
}

// lookForOverdue logs, once each, the tasks that still run though they were cancelled a while ago.
func (m *Manager) lookForOverdue() {
	defer m.helped()
	overdue := m.takeOverdue(time.Now())
	if len(overdue) == 0 {
		return
	}
	stacks := goroutineStacks()
	for _, t := range overdue {
		if t.isLive() {
			m.logOverdue(t, stacks)
		}
	}
}

// takeOverdue counts the tasks that are overdue, returns those that are to be logged now, and makes
// the watch look again when the next may be overdue.
func (m *Manager) takeOverdue(now time.Time) (overdue []*Task) {
	const mostPerSecond, lookAgain = 20, time.Second
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch.at = time.Time{}
	m.helpers++ // this goroutine
	var next time.Time
	for t := range m.sched.Started {
		due, ok := t.overdueAt()
		if !ok || t.reported {
			continue
		}
		if !due.After(now) {
			m.countOverdue(t)
			if m.watch.lines.allow(now, mostPerSecond) {
				t.reported = true
				overdue = append(overdue, t)
				continue
			}
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	if !next.IsZero() {
		m.watchFrom(latestOf(next, now.Add(lookAgain)))
	}
	return overdue
}

// countOverdue counts t, if it has a slot, as overdue, once. m.mu is held.
func (m *Manager) countOverdue(t *Task) {
	if !t.overdue && t.item.State() == sched.Running {
		t.overdue = true
		m.watch.overdue++
	}
}

// overdueAt returns when t is overdue, if it was cancelled or has a timeout.
func (t *Task) overdueAt() (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := t.options.timeout
	switch {
	case t.cause != nil:
		return t.cancelledAt.Add(overdueAfter), true
	case limit <= 0:
		return time.Time{}, false
	case t.started.IsZero(): // its goroutine is on its way
		return time.Now().Add(limit).Add(overdueAfter), true
	default:
		return t.started.Add(limit).Add(overdueAfter), true
	}
}

func latestOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A goroutine has no public id, so the stack of a task that does not stop is found in a traceback
// of all goroutines: runTask has the Task as its argument, and a traceback shows arguments. If a
// future compiler shows them otherwise, the log line has no stack and
// TestStackOfAnOverdueTaskIsItsOwn fails.

// taskFrame is how a traceback shows the call of runTask. Its second argument is the Task's
// address.
var taskFrame = regexp.MustCompile(`/core\.\(\*Manager\)\.runTask\([^,]+, (0x[0-9a-f]+)\)`)

// goroutineStacks returns the stacks of the tasks of this process, by stackKey. All goroutines
// stand still meanwhile, so with very many of them it returns nil: a log line is not worth that
// pause.
func goroutineStacks() map[string]string {
	const (
		mostGoroutines = 5000
		mostBytes      = 4 << 20
		mostOfOne      = 4 << 10
	)
	if runtime.NumGoroutine() > mostGoroutines {
		return nil
	}
	buf := make([]byte, mostBytes)
	buf = buf[:runtime.Stack(buf, true)]

	stacks := make(map[string]string)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if frame := taskFrame.FindStringSubmatch(stack); frame != nil {
			stacks[frame[1]] = stack[:min(len(stack), mostOfOne)]
		}
	}
	return stacks
}

// stackKey returns the key of t's stack in what goroutineStacks returns.
func stackKey(t *Task) string { return fmt.Sprintf("%p", t) }
